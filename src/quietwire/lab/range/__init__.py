"""The shooting range: many people's lives, played by real clients on real servers, with a tap on each link."""

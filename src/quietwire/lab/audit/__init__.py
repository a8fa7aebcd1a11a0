"""What a thief reads from a stolen data directory: ours, Prosody's, ejabberd's. `audit.examine` is the way in."""

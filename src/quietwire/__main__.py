"""`python -m quietwire` and the `quietwire` command.

TLS record padding is OpenSSL's, and OpenSSL reads its configuration when `ssl` or `hashlib` is first imported. So
before importing more than sys, os and tomllib, a server whose links are padded starts itself again with it.
"""

import os
import sys


def main() -> None:
    from quietwire.cli.padding import restart_padded

    restart_padded(sys.argv, os.environ)
    from quietwire.cli.app import run

    run()


if __name__ == "__main__":
    main()

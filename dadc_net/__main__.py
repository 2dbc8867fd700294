"""``python -m dadc_net`` is ``dadc``."""

from dadc_net.cli.main import main

if __name__ == "__main__":
    main()

"""How long a lease outlives its holder's last word, wherever it is kept: in the journal, or as the lock on a slice."""

from typing import Final

HEARTBEAT: Final = 3.0  # seconds between two signs of life of a holder: two may be lost on the way
SILENCE: Final = 10.0  # seconds without one after which a holder is gone (design section 8.11)

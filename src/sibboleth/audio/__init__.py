"""Audio: any file that libsndfile reads, to mono float32 at the rate that is asked for.

What is done with audio that is not as it should be; `scan` gives the reason, and no bad file loses the others:

- Gone, unreadable, of an unknown format, corrupt: excluded. Gone and unreadable files are tried again next time.
- Truncated (it holds less than its header promises): excluded; segments within the sound part are kept. An OGG file
  does not say how long it should be: what is there is used.
- Empty (no samples), silent (peak of the mono mix under -80 dBFS), any sample NaN, infinite or a million times full
  scale, a sampling rate under 1 kHz or above 1 MHz: excluded.
- Shorter than 0.1 s: excluded. An encoder needs 400 samples at 16 kHz for one frame, and one frame is no utterance.
- A segment that begins or ends beyond the file's end: excluded; up to 10 ms too much is cut off.
- Hour-long: kept. It is read in blocks, in bounded memory.
- Any other rate, width and channel count: kept. Channels are averaged, integers scaled to [-1, 1], floats above 1 left.
- Clipped, mostly silent, very quiet: kept, and measured.
"""

from sibboleth.audio.reading import UnreadableAudio, blocks, read
from sibboleth.audio.scanning import SCHEMA, scan

__all__ = ["SCHEMA", "UnreadableAudio", "blocks", "read", "scan"]

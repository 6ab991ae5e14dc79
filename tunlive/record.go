package tunlive

import "time"

// Recorded is a packet and when it was passed on.
type Recorded struct {
	Time time.Time
	Data []byte
}

// recordingBytes is how long a recording gets, in bytes of packets.
const recordingBytes = 384 << 10

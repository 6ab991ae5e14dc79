// SPDX-License-Identifier: MIT

package tunlive

import "time"

// Recorded is a packet and the time at which it was passed on.
type Recorded struct {
	Time time.Time
	Data []byte
}

// recordingBytes is the size at which a recording ends, in bytes of packets.
const recordingBytes = 384 << 10

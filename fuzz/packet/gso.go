package packet

// The flags and GSO types of a VnetHdr (include/uapi/linux/virtio_net.h).
const (
	NeedsCsum, DataValid, RSCInfo = 1, 2, 4
	GSONone, GSOTCPv4, GSOUFO     = 0, 1, 3
	GSOTCPv6, GSOUDPL4, GSOECN    = 4, 5, 0x80
)

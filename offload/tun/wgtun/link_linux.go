package wgtun

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// parseLink parses an RTM_NEWLINK message.
func parseLink(m syscall.NetlinkMessage) (info unix.IfInfomsg, attrs []syscall.NetlinkRouteAttr, err error) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return info, nil, unix.EINVAL
	}
	info = unix.IfInfomsg{
		Family: m.Data[0],
		Type:   binary.NativeEndian.Uint16(m.Data[2:]),
		Index:  int32(binary.NativeEndian.Uint32(m.Data[4:])),
		Flags:  binary.NativeEndian.Uint32(m.Data[8:]),
		Change: binary.NativeEndian.Uint32(m.Data[12:]),
	}
	attrs, err = syscall.ParseNetlinkRouteAttr(&m)
	return info, attrs, err
}

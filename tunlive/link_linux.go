// SPDX-License-Identifier: MIT

package tunlive

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunproof/tunlive/guard"
)

// tun is a TUN or TAP device opened with IFF_VNET_HDR and without packet information.
type tun struct {
	fd, index int
	name      string
	linkLen   int    // length of the header before a packet: etherLen for a TAP, else 0
	tunnels   bool   // VnetHdrs have 24 bytes
	frame     []byte // buffer for writing
}

// Sets of TUN_F_ bits: the offloads that a reader takes.
const (
	noOffloads  = 0
	allOffloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN | unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// openNode opens the TUN device without attaching it to a link.
func openNode() (int, error) {
	node := "/dev/net/tun"
	if s := os.Getenv(envDevice); s != "" {
		node = s
	}
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Missing{"a TUN device, " + node, "run it as root, or make the node readable and writable: chmod 0666; in a container, --device /dev/net/tun", err}
	}
	return fd, nil
}

// takesUSO reports whether TUNSETOFFLOAD takes UDP superpackets, or true if that
// cannot be tried. Kernels that do not take them (before 6.2) cannot hand one to a
// packet socket either, so UDP packets that their GRO joins could not be read.
func takesUSO() bool {
	const offloads = unix.TUN_F_CSUM | unix.TUN_F_USO4 | unix.TUN_F_USO6
	t, err := openTUN(0, noOffloads)
	if err != nil {
		return true
	}
	defer t.close()
	return unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, offloads) == nil
}

func openTUN(flags uint16, offloads int) (*tun, error) {
	return openDevice(unix.IFF_TUN|flags, offloads)
}

func openDevice(flags uint16, offloads int) (*tun, error) {
	fd, err := openNode()
	if err != nil {
		return nil, err
	}
	t := &tun{fd: fd}
	if err := t.configure(flags, offloads); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tun) configure(flags uint16, offloads int) error {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_NO_PI | unix.IFF_VNET_HDR | flags)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("TUNSETIFF: %w", err)
	}
	t.name = ifr.Name()
	err = unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, offloads)
	if without := offloads &^ (unix.TUN_F_USO4 | unix.TUN_F_USO6); err == unix.EINVAL && without != offloads {
		err = unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, without) // kernels before 6.2
	}
	if err != nil {
		return fmt.Errorf("TUNSETOFFLOAD %#x: %w", offloads, err)
	}
	t.index, err = linkIndex(t.name)
	return err
}

func (t *tun) close() error { return unix.Close(t.fd) }

// write passes one packet to the guard and writes it. ErrPacket is returned for a packet
// that no TAP can have.
func (t *tun) write(h VnetHdr, packet []byte) error {
	if err := guard.Check(h.GSOType, packet); err != nil {
		return err
	}
	if err := guard.CheckTunnel(h.GSOType, int(h.InnerNHOffset), packet); t.tunnels && err != nil {
		return err
	}
	protocol, ok := etherType(packet)
	if t.linkLen > 0 && (!ok || !h.moveOffsets(t.linkLen)) {
		return ErrPacket
	}
	if t.tunnels {
		t.frame = h.appendTunnel(t.frame[:0])
	} else {
		t.frame = h.append(t.frame[:0])
	}
	if t.linkLen > 0 {
		t.frame = appendFrame(t.frame, protocol, packet)
	} else {
		t.frame = append(t.frame, packet...)
	}
	return t.writeRaw(t.frame)
}

// writeRaw writes bytes that the guard has accepted.
func (t *tun) writeRaw(frame []byte) error {
	for {
		n, err := unix.Write(t.fd, frame)
		switch {
		case err == unix.EINTR:
		case err == nil && n != len(frame):
			return fmt.Errorf("%s takes %d bytes of %d", t.name, n, len(frame))
		default:
			return err
		}
	}
}

// read reads one packet into buf, which the Packet refers to. It returns EAGAIN if
// there is none. A packet that fills buf is an error: the kernel may have truncated
// it, and does not report that.
func (t *tun) read(buf []byte) (Packet, error) {
	n, err := unix.Read(t.fd, buf)
	hdrLen := vnetHdrLen
	if t.tunnels {
		hdrLen = tunnelVnetHdrLen
	}
	switch {
	case err != nil:
		return Packet{}, err
	case n == len(buf) || n < hdrLen+t.linkLen:
		return Packet{}, fmt.Errorf("%s: %d bytes read into %d", t.name, n, len(buf))
	}
	p := Packet{parseVnetHdr(buf), buf[hdrLen+t.linkLen : n]}
	if t.tunnels {
		p.Hdr = parseTunnelVnetHdr(buf)
	}
	if !p.Hdr.moveOffsets(-t.linkLen) {
		return Packet{}, fmt.Errorf("%s: a VnetHdr of %+v", t.name, p.Hdr)
	}
	return p, nil
}

func linkIndex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("index of %s: %w", name, err)
	}
	return int(ifr.Uint32()), nil
}

// These are names of device features, as in ethtool.
var (
	segmentationFeatures = []string{"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
		"tx-tcp-mangleid-segmentation", "tx-tcp-accecn-segmentation", "tx-udp-segmentation"}
	checksumFeatures = []string{"tx-checksum-ip-generic"}
	groFeatures      = []string{"rx-gro"}
	udpGROFeatures   = []string{"rx-udp-gro-forwarding"}
)

// setFeatures switches features of a device on or off, as far as the kernel knows
// them, and returns how many it knows.
func setFeatures(name string, on bool, features ...string) (int, error) {
	const ethSSFeatures, nameLen = 4, 32
	sizes := message{}.u32(unix.ETHTOOL_GSSET_INFO).u32(0).u64(1 << ethSSFeatures).u32(0)
	if err := ethtool(name, sizes); err != nil {
		return 0, err
	}
	if binary.NativeEndian.Uint64(sizes[8:]) == 0 { // a request for the names would then overflow the buffer
		return 0, fmt.Errorf("ethtool %s: no set of features", name)
	}
	n := int(binary.NativeEndian.Uint32(sizes[16:]))
	strings := append(message{}.u32(unix.ETHTOOL_GSTRINGS).u32(ethSSFeatures).u32(uint32(n)), make([]byte, n*nameLen)...)
	if err := ethtool(name, strings); err != nil {
		return 0, err
	}
	words := (n + 31) / 32
	set := append(message{}.u32(unix.ETHTOOL_SFEATURES).u32(uint32(words)), make([]byte, 8*words)...)
	known := 0
	for i := range n {
		feature := unix.ByteSliceToString(strings[12+i*nameLen : 12+(i+1)*nameLen])
		if !slices.Contains(features, feature) {
			continue
		}
		known++
		valid, requested := set[8+8*(i/32):], set[12+8*(i/32):]
		bit := uint32(1) << (i % 32)
		binary.NativeEndian.PutUint32(valid, binary.NativeEndian.Uint32(valid)|bit)
		if on {
			binary.NativeEndian.PutUint32(requested, binary.NativeEndian.Uint32(requested)|bit)
		}
	}
	return known, ethtool(name, set)
}

// ethtool is the ioctl SIOCETHTOOL.
func ethtool(name string, command []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var ifr struct { // struct ifreq with ifr_data
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifr.name[:len(ifr.name)-1], name)
	ifr.data = unsafe.Pointer(&command[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(command)
	if errno != 0 {
		return fmt.Errorf("ethtool %s: %w", name, errno)
	}
	return nil
}

// A tun.Device of wireguard-go on tunproof's device. Its own module, so that who
// uses tunproof does not depend on WireGuard.
module tunproof/offload/tun/wgtun

go 1.25.0

require (
	github.com/google/pprof v0.0.0-20250403155104-27863c87afa6
	github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns v0.0.5
	golang.org/x/sys v0.47.0
	golang.zx2c4.com/wireguard v0.0.0-20260522210424-ecfc5a8d5446
	tunproof v0.0.0
)

require (
	golang.org/x/crypto v0.37.0 // indirect
	golang.org/x/net v0.39.0 // indirect
	golang.zx2c4.com/wintun v0.0.0-20230126152724-0fa3db229ce2 // indirect
)

replace tunproof => ../../..

// Other implementations of packet offload, beside ours: adapters to them and the
// benchmark. Its own module, so that who uses tunproof depends on none of them.
module tunproof/fuzz/peers

go 1.27.3

require (
	github.com/google/go-cmp v0.7.0
	github.com/slackhq/nebula v1.12.0
	github.com/tailscale/wireguard-go v0.0.0-20260928213032-417aef361226
	golang.org/x/crypto v0.59.0
	golang.org/x/sys v0.50.0
	golang.zx2c4.com/wireguard v0.0.0-20260522210424-ecfc5a8d5446
	gvisor.dev/gvisor v0.0.0-20261014193016-04d31b385980
	tunproof v0.0.0
)

require (
	golang.org/x/exp v0.0.0-20260824195058-e88cd73687aa // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/time v0.15.0 // indirect
	golang.zx2c4.com/wintun v0.0.0-20230126152724-0fa3db229ce2 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace tunproof => ../..

replace gvisor.dev/gvisor => gvisor.dev/gvisor v0.0.0-20260905035102-160fafc42237

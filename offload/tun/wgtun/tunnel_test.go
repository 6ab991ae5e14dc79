// SPDX-License-Identifier: MIT

package wgtun

import (
	"bufio"
	"cmp"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"tunproof/tunlive"
)

// cannot is the reason why the kernel cannot be asked.
var cannot error

func TestMain(m *testing.M) {
	if c := os.Getenv(envEnd); c != "" {
		if err := runEnd(c); err != nil {
			fmt.Fprintln(os.Stderr, "end of the tunnel:", err)
			os.Exit(2)
		}
		return
	}
	cannot = tunlive.Enter() // the test runs in namespaces of its own
	os.Exit(m.Run())
}

// host is a network namespace with one end of the tunnel.
type host struct {
	calls chan func()
	ns    netns.NsHandle
	inner string // its address in the tunnel

	end *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// newHost makes a namespace on a thread of its own.
func newHost() (*host, error) {
	h := &host{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			h.ns, err = netns.Get()
		}
		ready <- err
		for f := range h.calls {
			f()
		}
	}()
	return h, <-ready
}

// do runs f in the namespace. Sockets that f makes stay in it.
func (h *host) do(f func() error) error {
	done := make(chan error)
	h.calls <- func() { done <- f() }
	return <-done
}

// wire joins two hosts by a veth. Its MTU is 1,500 if mtu is 0.
func wire(t testing.TB, mtu int) [2]*host {
	t.Helper()
	var hosts [2]*host
	for i := range hosts {
		h, err := newHost()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { close(h.calls) })
		h.inner = fmt.Sprintf("198.51.100.%d", i+1)
		hosts[i] = h
	}
	err := hosts[0].do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "under"}, PeerName: "under", PeerNamespace: netlink.NsFd(hosts[1].ns)})
	})
	if err != nil {
		t.Fatal("veth: ", err)
	}
	for i, h := range hosts {
		if err := h.do(func() error { return address("under", fmt.Sprintf("192.0.2.%d/24", i+1), mtu) }); err != nil {
			t.Fatal(err)
		}
	}
	return hosts
}

// address gives a link an address and, if it is not 0, an MTU, and sets the link up.
func address(name, addr string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	if mtu > 0 {
		err = netlink.LinkSetMTU(link, mtu)
	}
	return errors.Join(err, netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
}

// start starts a tunnel of two processes, whose devices get an MTU.
func start(t testing.TB, hosts [2]*host, kind string, mtu int) {
	t.Helper()
	startWith(t, hosts, endConfig{Kind: kind, MTU: mtu})
}

// programs are ends in programs of their own, by kind.
var programs = map[string]string{}

// buildPeer builds the end of tailscale's fork, which is in another module and may need a
// newer Go.
func buildPeer(t testing.TB) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "end")
	build := exec.Command("go", "build", "-o", bin, "./end")
	build.Dir = "../../../fuzz/peers"
	build.Env = append(os.Environ(), "GOTOOLCHAIN=auto")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	programs["tailscale"], programs["tailscale on tunproof"] = bin, bin
}

// startWith starts a tunnel of two processes with a configuration, which it completes.
func startWith(t testing.TB, hosts [2]*host, common endConfig) {
	t.Helper()
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	for i, h := range hosts {
		own := common
		own.Address = h.inner + "/24"
		own.WireGuard = fmt.Sprintf("private_key=%s\nlisten_port=51820\npublic_key=%s\nendpoint=192.0.2.%d:51820\nallowed_ip=198.51.100.0/24\n",
			hex.EncodeToString(keys[i].Bytes()), hex.EncodeToString(keys[1-i].PublicKey().Bytes()), 2-i)
		c, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		h.end = exec.Command(cmp.Or(programs[common.Kind], "/proc/self/exe"))
		h.end.Env = append(os.Environ(), envEnd+"="+string(c))
		h.end.Stderr = os.Stderr
		h.end.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		in, err := h.end.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := h.end.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		h.in, h.out = in, bufio.NewReader(out)
		if err := h.do(h.end.Start); err != nil { // in the namespace
			t.Fatal(err)
		}
	}
	for _, h := range hosts {
		if s := h.say(t, ""); s != "ready" {
			t.Fatalf("%s: an end of the tunnel says %q", common.Kind, s)
		}
	}
}

// say sends a line, if it is not empty, and returns the answer.
func (h *host) say(t testing.TB, line string) string {
	t.Helper()
	if line != "" {
		if _, err := io.WriteString(h.in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := h.out.ReadString('\n')
	if err != nil {
		t.Fatal("an end of the tunnel: ", err)
	}
	return strings.TrimSpace(s)
}

// state asks an end for its CPU time and counters.
func (h *host) state(t testing.TB) (s endState) {
	t.Helper()
	if err := json.Unmarshal([]byte(h.say(t, "state")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t testing.TB, hosts [2]*host) {
	t.Helper()
	for _, h := range hosts {
		h.in.Close()
		if err := h.end.Wait(); err != nil {
			t.Error("an end of the tunnel: ", err)
		}
	}
}

// figures are the measurements for one kind of device and one protocol.
type figures struct {
	bytes    int
	seconds  []float64 // for each GB, by round and direction
	rss      []float64 // most resident memory of an end, after both protocols
	cpu      []float64 // of both ends, nanoseconds a byte
	offload  int       // samples of the profile that are in offload
	samples  int
	lost     int
	received int
}

// TestTunnel carries TCP and UDP in both directions through a WireGuard tunnel
// between two namespaces. Rounds with tunproof's device on both ends alternate with
// rounds with wireguard-go's own. WGTUN_MB is the amount for each protocol, direction
// and device. With WGTUN_PEERS=1 tailscale's fork takes part
// too, on its own device and on tunproof's.
func TestTunnel(t *testing.T) {
	needsTUN(t)
	kinds := []string{"tunproof", "wireguard-go"}
	if os.Getenv("WGTUN_PEERS") != "" {
		buildPeer(t)
		kinds = append(kinds, "tailscale", "tailscale on tunproof")
	}
	total, rounds := amount(t)
	hosts := wire(t, 0)
	all := map[string]*figures{}
	for range rounds {
		for _, kind := range kinds {
			start(t, hosts, kind, innerMTU)
			for _, proto := range []string{"tcp", "udp"} {
				f := all[proto+" "+kind]
				if f == nil {
					f = &figures{}
					all[proto+" "+kind] = f
				}
				for way := range 2 {
					f.measure(t, hosts, proto, way, total/rounds)
				}
			}
			for _, h := range hosts {
				s := h.state(t)
				if kind == "tunproof" {
					checkStats(t, s)
				}
				for _, proto := range []string{"tcp", "udp"} {
					f := all[proto+" "+kind]
					f.rss = append(f.rss, s.RSS)
				}
			}
			stop(t, hosts)
		}
	}
	report(t, kinds, all)
}

// needsTUN skips the test without root and a TUN, unless TUNLIVE=require is set.
func needsTUN(t testing.TB) {
	t.Helper()
	var missing *tunlive.Missing
	switch {
	case cannot == nil && os.Getuid() == 0:
	case (cannot == nil || errors.As(cannot, &missing)) && os.Getenv("TUNLIVE") != "require":
		t.Skip("needs root and a TUN: ", cannot)
	default:
		t.Fatal("needs root and a TUN: ", cannot)
	}
}

// amount returns the bytes carried in each direction, and the number of rounds.
func amount(t *testing.T) (total, rounds int) {
	t.Helper()
	if s := os.Getenv("WGTUN_MB"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("WGTUN_MB=%s: want a number", s)
		}
		return n << 20, 8
	}
	if testing.Short() {
		return 8 << 20, 1
	}
	return 64 << 20, 1
}

// checkStats checks that the device dropped nothing and joined packets.
func checkStats(t *testing.T, s endState) {
	t.Helper()
	r, w := s.Stats.Read, s.Stats.Write
	if r.Truncated+r.Invalid+r.Short+w.Refused+w.Down+w.NoMemory+w.Failed+w.Unsent > 0 {
		t.Errorf("the device dropped packets: %+v", s.Stats)
	}
	if r.Superpackets == 0 || w.Superpackets == 0 || s.Stats.Refused != 0 {
		t.Errorf("the device did not read or write superpackets: %+v", s.Stats)
	}
}

// measure carries n bytes in one direction.
func (f *figures) measure(t *testing.T, hosts [2]*host, proto string, way, n int) {
	t.Helper()
	from, to := hosts[way], hosts[1-way]
	var before [2]endState
	for i, h := range hosts {
		before[i] = h.state(t)
		if h.profiles() {
			h.say(t, "profile "+profileFile(t, i))
		}
	}
	transfer := tcp
	if proto == "udp" {
		transfer = udp
	}
	got, err := transfer(from, to, n)
	if err != nil {
		t.Fatalf("%s %d: %v", proto, way, err)
	}
	used := 0.0
	for i, h := range hosts {
		if h.profiles() {
			h.say(t, "profile")
			f.profile(t, profileFile(t, i))
		}
		used += h.state(t).CPU - before[i].CPU
	}
	f.bytes += n
	f.lost += got.lost
	f.received += got.received
	f.seconds = append(f.seconds, got.seconds*1e9/float64(n))
	f.cpu = append(f.cpu, used*1e9/float64(n))
}

// profiles reports whether the end can write a profile.
func (h *host) profiles() bool { return h.end.Path == "/proc/self/exe" }

func profileFile(t *testing.T, i int) string {
	return fmt.Sprintf("%s/wgtun-%d-%d.prof", os.TempDir(), os.Getpid(), i)
}

// profile adds the samples of one file. Samples of offload are those below its entry
// points.
func (f *figures) profile(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	defer file.Close()
	p, err := profile.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Sample {
		f.samples += int(s.Value[0])
		if slices.ContainsFunc(s.Location, isOffload) {
			f.offload += int(s.Value[0])
		}
	}
}

// isOffload reports whether a function cuts or joins packets, rather than being part
// of the device.
func isOffload(l *profile.Location) bool {
	for _, line := range l.Line {
		name := line.Function.Name
		if strings.HasPrefix(name, "tunproof/offload.") {
			return true
		}
		if f, ok := strings.CutPrefix(name, "golang.zx2c4.com/wireguard/tun."); ok && (f == "handleGRO" || f == "handleVirtioRead" ||
			f == "(*tcpGROTable).reset" || f == "(*udpGROTable).reset") {
			return true
		}
	}
	return false
}

func report(t *testing.T, kinds []string, all map[string]*figures) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-26s %8s %10s %14s %10s %8s %8s\n", "", "GB", "GB/s", "CPU, ns/byte", "offload", "lost", "RSS, MB")
	for _, proto := range []string{"tcp", "udp"} {
		theirs := all[proto+" wireguard-go"]
		for _, kind := range kinds {
			f := all[proto+" "+kind]
			share := "-"
			if f.samples > 0 {
				share = fmt.Sprintf("%.1f%%", 100*float64(f.offload)/float64(f.samples))
			}
			fmt.Fprintf(&b, "%-26s %8.2f %10.3f %14.2f %10s %8d %8.1f\n", proto+" "+kind, float64(f.bytes)/1e9, 1/median(f.seconds), median(f.cpu), share, f.lost, median(f.rss)/1e6)
		}
		compared := func(ours, theirs string) {
			x, y := all[proto+" "+ours], all[proto+" "+theirs]
			ratios := make([]float64, len(x.cpu))
			for i := range ratios {
				ratios[i] = x.cpu[i] / y.cpu[i] // of one round and direction
			}
			fmt.Fprintf(&b, "%-22s CPU a byte of %s is %.3f of that of %s, median of %d pairs\n", proto, ours, median(ratios), theirs, len(ratios))
		}
		compared("tunproof", "wireguard-go")
		if len(kinds) > 2 {
			compared("tailscale on tunproof", "tailscale")
		}
		fmt.Fprintf(&b, "%-22s if offload cost nothing, %.3f of wireguard-go's\n", proto, 1-float64(theirs.offload)/float64(theirs.samples))
	}
	t.Log(b.String())
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

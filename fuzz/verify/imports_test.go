// SPDX-License-Identifier: MIT

package verify_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed lists, for each package of the module, the packages that it may import besides
// the standard library. The leaves share no code: this list is why the model cannot have
// offload's bugs.
var allowed = map[string][]string{
	"offload":              {"golang.org/x/sys/cpu"}, // features of the processor
	"model":                {},
	"corpus/pkts":          {},
	"corpus":               {"tunproof/corpus/pkts"},
	"tunlive/guard":        {},
	"tunlive/gro":          {},
	"tunlive":              {"tunproof/tunlive/guard", "golang.org/x/sys/unix"},
	"tunlive/kernels":      {},
	"tunlive/kernels/init": {"tunproof/tunlive/kernels", "golang.org/x/sys/unix"},
	"tunlive/kernels/run":  {"tunproof/tunlive/kernels"},
	"offload/tun/example":  {"tunproof/offload", "tunproof/offload/tun", "tunproof/tunlive/guard", "golang.org/x/sys/unix"},
	"offload/tun":          {"tunproof/offload", "tunproof/corpus/pkts", "tunproof/tunlive/guard", "golang.org/x/sys/unix"},
	"fuzz":                 {"tunproof/offload", "tunproof/model", "tunproof/corpus", "tunproof/tunlive", "tunproof/tunlive/guard", "tunproof/tunlive/gro", "tunproof/tunlive/kernels", "tunproof/fuzz", "pgregory.net/rapid", "golang.org/x/sys"},
}

// floors lists the packages of fuzz from the ground up. A package imports only packages
// of lower floors, or earlier ones of its own floor. So there is no circle, and a reader
// finds the packages that a package needs by going down.
var floors = [][]string{
	{"internal/bounded", "internal/crasher", "internal/file", "internal/process", "internal/svg", "internal/usage", "packet", "record", "scenario", "scenario/draw"},
	{"capture/pcap", "capture/hexdump", "capture", "capture/check", "capture/compare", "capture/trial", "capture/page", "capture/excerpt", "capture/anonymise", "law", "law/exhaustive", "mutants"},
	{"engine/targets", "engine/serve", "engine/native", "engine/libfuzzer", "engine/campaign", "kernel", "kernel/native", "kernel/matrix", "conform", "conform/blackbox"},
	{"replay", "verify"},
	{"cmd/tunproof"},
}

// standard lists the packages of the standard library that offload and the model may
// import. Both are pure: bytes in, bytes out.
var standard = map[string][]string{
	"offload": {"bytes", "encoding/binary", "errors", "fmt", "hash/maphash", "io", "iter", "math/bits"},
	"model":   {"slices"},
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Imports    []string
}

// goList returns the packages that match pattern, with env added to the environment.
func goList(t *testing.T, pattern string, env ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", pattern)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// TestImports checks the imports of all packages, on three systems, against allowed and
// standard.
func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		list := goList(t, "tunproof/...", "GOOS="+goos, "GOARCH=amd64", "GOFLAGS=-mod=readonly")
		for _, p := range list {
			checkImports(t, goos, strings.TrimPrefix(p.ImportPath, "tunproof/"), p.Imports)
		}
		if len(list) < 5 {
			t.Errorf("%s: go list names %d packages, want at least 5", goos, len(list))
		}
	}
}

// TestFloors checks that the packages of fuzz import downwards.
func TestFloors(t *testing.T) {
	place := map[string]int{}
	for floor, list := range floors {
		for i, name := range list {
			place["tunproof/fuzz/"+name] = 100*floor + i
		}
	}
	list := goList(t, "tunproof/fuzz/...", "GOFLAGS=-mod=readonly -tags=libfuzzer")
	for _, p := range list {
		at, known := place[p.ImportPath]
		if !known {
			t.Errorf("%s is on no floor", p.ImportPath)
		}
		for _, imp := range p.Imports {
			if to, ours := place[imp]; ours && to >= at {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, imp)
			}
		}
	}
	if len(list) != len(place) {
		t.Errorf("%d packages, %d on floors", len(list), len(place))
	}
}

func checkImports(t *testing.T, goos, name string, imports []string) {
	may, known := allowed[name]
	family := strings.HasPrefix(name, "fuzz/")
	if family {
		may, known = allowed["fuzz"], true
	}
	if !known {
		t.Errorf("package %s is not in the list of allowed imports", name)
	}
	for _, imp := range imports {
		ours := strings.HasPrefix(imp, "tunproof/")
		if !ours && !strings.Contains(strings.Split(imp, "/")[0], ".") {
			if std, pure := standard[name]; pure && !slices.Contains(std, imp) {
				t.Errorf("%s: %s imports %s", goos, name, imp)
			}
			continue
		}
		if !slices.ContainsFunc(may, func(m string) bool {
			return imp == m || family && strings.HasPrefix(imp, m+"/")
		}) {
			t.Errorf("%s: %s imports %s", goos, name, imp)
		}
	}
}

// SPDX-License-Identifier: MIT

package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/internal/crasher"
)

// Store is a directory that holds the inputs and findings of campaigns. Several processes
// may use it at once, and each may be killed at any time: every file is complete.
//
//	corpus/TARGET/HASH.pkts, .raw   inputs, named by content
//	findings/FuzzTARGET/NAME.pkts   the smallest input of each finding; .fuzz if it has no case
//	flaky/FuzzTARGET/HASH.fuzz      inputs that failed, but not each time
//	runs/NAME.json                  executions of each campaign
//	work/NAME/                      files of a campaign that runs or was killed
type Store struct{ Dir string }

// inputs is the directory of a target's inputs.
func (s Store) inputs(name string) string { return filepath.Join(s.Dir, "corpus", name) }

// Add stores an input. It returns the name of its file, "" if the input means nothing to
// the target, and whether the input was not stored before.
func (s Store) Add(t targets.Target, b []byte) (file string, added bool, err error) {
	text, ext := t.Kept(b)
	if text == nil {
		return "", false, nil
	}
	file = hash(text) + ext
	path := filepath.Join(s.inputs(t.Name), file)
	if _, err := os.Stat(path); err == nil {
		return file, false, nil
	}
	return file, true, write(path, text)
}

// Len returns the number of a target's inputs.
func (s Store) Len(name string) int {
	n := 0
	list, _ := entries(s.inputs(name))
	for _, e := range list {
		if kept(e.Name()) {
			n++
		}
	}
	return n
}

// kept reports whether name is that of a stored input: a file that is being written has
// another.
func kept(name string) bool {
	return strings.HasSuffix(name, ".pkts") || strings.HasSuffix(name, ".raw")
}

// maxKept is the size limit of an input's file.
const maxKept = 1 << 25

// Inputs returns a target's inputs by the names of their files, without those in except. A
// file that is not an input causes an error that names it; the other inputs are returned
// all the same.
func (s Store) Inputs(name string, except map[string]bool) (map[string][]byte, error) {
	list, err := entries(s.inputs(name))
	inputs := map[string][]byte{}
	for _, e := range list {
		if !kept(e.Name()) || except[e.Name()] {
			continue
		}
		file := filepath.Join(s.inputs(name), e.Name())
		if info, e := os.Stat(file); e == nil && (!info.Mode().IsRegular() || info.Size() > maxKept) {
			err = errors.Join(err, fmt.Errorf("%s: not a regular file of at most %d bytes", file, maxKept))
			continue
		}
		text, e1 := os.ReadFile(file)
		if errors.Is(e1, fs.ErrNotExist) { // removed since the directory was read
			continue
		}
		b, e2 := targets.Input(file, text)
		if e := errors.Join(e1, e2); e != nil {
			err = errors.Join(err, e)
			continue
		}
		inputs[e.Name()] = b
	}
	return inputs, err
}

// Remove removes an input. name is that of its target, file that of its file.
func (s Store) Remove(name, file string) error {
	return os.Remove(filepath.Join(s.inputs(name), file))
}

// AddFinding stores a finding. It keeps one file for each key: a case (.pkts) rather than a
// .fuzz file, then the smaller one. still reports whether a stored file still fails; if not,
// it is replaced. AddFinding returns the file that stays and reports whether the key is new.
func (s Store) AddFinding(name string, o serve.Outcome, text []byte, ext string, still func(file string) bool) (file string, isNew bool, err error) {
	base := filepath.Join(s.Dir, "findings", "Fuzz"+name, fileName(o))
	err = s.locked(func() error {
		old, size := "", int64(0)
		for _, e := range []string{".fuzz", ".pkts"} {
			if info, err := os.Stat(base + e); err == nil {
				old, size = base+e, info.Size()
			}
		}
		file, isNew = base+ext, old == ""
		worse := ext == ".fuzz" && old == base+".pkts"
		better := ext == ".pkts" && old == base+".fuzz"
		if old != "" && !better && (worse || int64(len(text)) >= size) && still(old) {
			file = old
			return nil
		}
		if err := write(file, text); err != nil {
			return err
		}
		if old != "" && old != file {
			return os.Remove(old)
		}
		return nil
	})
	return file, isNew, err
}

// AddFlaky stores an input that failed, but not each time.
func (s Store) AddFlaky(name string, b []byte) error {
	text := crasher.Format(b)
	return write(filepath.Join(s.Dir, "flaky", "Fuzz"+name, hash(text)+".fuzz"), text)
}

// fileName returns the file name of a finding, without its extension.
func fileName(o serve.Outcome) string {
	name := []byte(o.Property + "-" + o.Where)
	for i, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-') {
			name[i] = '-'
		}
	}
	if len(name) > 80 {
		name = append(name[:70], "-"+hash(name)[:9]...)
	}
	return string(name)
}

// locked runs f while this process holds the lock of the store.
func (s Store) locked(f func() error) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := lockFile(lock, true); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}
	return f()
}

// Totals counts the executions of a target.
type Totals struct {
	Execs   int64   `json:"execs"`
	Seconds float64 `json:"seconds"`
	New     int     `json:"new"` // inputs that were not stored before
}

// Run is the record of one campaign.
type Run struct {
	Start   time.Time         `json:"start"`
	Seconds float64           `json:"seconds"`
	Engine  string            `json:"engine"`
	Tree    string            `json:"tree"`
	Targets map[string]Totals `json:"targets"`
}

// PutRun stores the record of a campaign, by a name that no other has.
func (s Store) PutRun(name string, r Run) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return write(filepath.Join(s.Dir, "runs", name+".json"), b)
}

// Runs returns the records of all campaigns. A file that is not a record causes an error
// that names it; the others are returned all the same.
func (s Store) Runs() ([]Run, error) {
	list, err := entries(filepath.Join(s.Dir, "runs"))
	var runs []Run
	for _, e := range list {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		f := filepath.Join(s.Dir, "runs", e.Name())
		var r Run
		b, e := os.ReadFile(f)
		if e == nil {
			e = json.Unmarshal(b, &r)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f, e))
			continue
		}
		runs = append(runs, r)
	}
	return runs, err
}

// entries lists a directory. One that does not exist is empty.
func entries(dir string) ([]os.DirEntry, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// hash returns the first 10 bytes of b's SHA-256, in hexadecimal.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}

// write writes a file under a temporary name and renames it when it is complete.
func write(file string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(fmt.Sprintf("%s.%08x.new", file, rand.Uint32()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

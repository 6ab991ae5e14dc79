// Package file writes files whole or not at all, and keeps the state of runs that can
// be resumed.
package file

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// New is a file that is written under a temporary name. Finish renames it. A
// destination that is not a regular file is written directly.
type New struct {
	*os.File
	place string      // "" if it is written through
	mode  fs.FileMode // of what is there; 0 if nothing is
}

// Create returns a New for a name. Where the name is a symbolic link, the file that
// it leads to is replaced. A file that is replaced keeps its mode. The mode of a new
// one is what the umask leaves.
func Create(name string) (*New, error) {
	f := &New{place: name}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(name); err == nil {
			return nil, fmt.Errorf("%s: is a symbolic link to nothing", name)
		}
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory", name)
	case !info.Mode().IsRegular():
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		return &New{File: file}, err
	default:
		f.mode = info.Mode().Perm()
		if f.place, err = filepath.EvalSymlinks(name); err != nil {
			return nil, err
		}
	}
	for err = fs.ErrExist; errors.Is(err, fs.ErrExist); {
		f.File, err = os.OpenFile(fmt.Sprintf("%s.%08x.new", f.place, rand.Uint32()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	}
	return f, err
}

// Finish renames the file to its place. With an error, of writing it, the file is
// removed and the error returned.
func (f *New) Finish(err error) error {
	if e := f.Close(); err == nil {
		err = e
	}
	if f.place == "" {
		return err
	}
	if err == nil && f.mode != 0 {
		err = os.Chmod(f.Name(), f.mode)
	}
	if err == nil {
		err = os.Rename(f.Name(), f.place)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Write writes a whole file, or leaves what was there.
func Write(name string, b []byte) error {
	f, err := Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return f.Finish(err)
}

// Same reports whether two names are names of one file.
func Same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// IsStdout reports whether a name refers to the standard output: "-", or a name of
// the same file or pipe.
func IsStdout(name string) bool {
	if name == "-" {
		return true
	}
	x, err := os.Stat(name)
	if err != nil || !x.Mode().IsRegular() && x.Mode()&fs.ModeNamedPipe == 0 {
		return false
	}
	y, err := os.Stdout.Stat()
	return err == nil && os.SameFile(x, y)
}

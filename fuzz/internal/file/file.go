// SPDX-License-Identifier: MIT

// Package file writes files atomically, and stores the state of runs that can be resumed.
package file

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// New is a file that is written under a temporary name and renamed by Finish. If the
// destination exists and is not a regular file, it is written directly instead.
type New struct {
	*os.File
	place string      // the destination; "" if it is written directly
	mode  fs.FileMode // the mode of the file to replace; 0 if there is none
}

// Create returns a New whose destination is name. If name is a symbolic link, its target is
// replaced. A replaced file keeps its mode; that of a new file follows from the umask.
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
	var of *fs.PathError
	if errors.As(err, &of) {
		of.Path = name // the caller does not know the temporary name
	}
	return f, err
}

// Finish closes the file and renames it to its destination. err is the error of writing the
// file. If it is not nil, or if Finish fails, the destination stays as it was, the
// temporary file is removed, and the error is returned.
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

// Write replaces the file name by one with the bytes b. On an error the old file stays.
func Write(name string, b []byte) error {
	f, err := Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return f.Finish(err)
}

// Same reports whether two names refer to the same file.
func Same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// IsStdout reports whether name refers to the standard output: whether it is "-", or names
// the file or pipe that the standard output is connected to.
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

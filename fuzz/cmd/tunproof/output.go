package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"tunproof/fuzz/record"
)

// newFile is a file written beside its place, and put there when it is whole; or
// what is at its place is no regular file, and is written through.
type newFile struct {
	*os.File
	place string      // "" if it is written through
	mode  fs.FileMode // of what is there; 0 if nothing is
}

// createFile makes a file that gets a name when it is whole. Of a symbolic link
// the file that it leads to is replaced, and keeps its mode; a new one has what
// the umask leaves.
func createFile(name string) (*newFile, error) {
	f := &newFile{place: name}
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
		return &newFile{File: file}, err
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

// finish puts the file in its place, or with an error in the writing of it
// removes it.
func (f *newFile) finish(err error) error {
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

func writeFile(name string, b []byte) error {
	f, err := createFile(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return f.finish(err)
}

// writeRecords writes result records, one a line.
func writeRecords(name string, rows []record.Result) error {
	f, err := createFile(name)
	if err != nil {
		return err
	}
	return f.finish(record.Write(f, rows))
}

// same says whether two names are of one file.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// isStdout says whether a name is of the standard output: "-", or what leads to
// the file or pipe that it is.
func isStdout(name string) bool {
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

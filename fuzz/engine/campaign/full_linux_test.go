package campaign

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFull checks that a full disk ends a campaign with an error that says so, that
// what was kept is whole, and that the next one goes on.
func TestFull(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the fuzz targets")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		if os.Getenv("TUNLIVE") == "require" {
			t.Fatal(err)
		}
		t.Skipf("no file system can be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	c := settings(t, dir, "Order", "Judges")
	s, err := Fuzz(t.Context(), c)
	if !isFull(err) {
		t.Fatalf("%+v, %v", s, err)
	}
	kept := whole(t, dir)
	left, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*.new"))
	if kept == 0 || len(left) > 0 {
		t.Errorf("%d inputs are kept; half-written: %v", kept, left)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
	s, err = Fuzz(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n := whole(t, dir); n < kept || s.Results[0].Execs == 0 {
		t.Errorf("%d inputs of %d are kept, %d executions", n, kept, s.Results[0].Execs)
	}
}

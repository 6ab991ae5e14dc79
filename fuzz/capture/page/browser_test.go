// SPDX-License-Identifier: MIT

package page_test

import (
	"context"
	"image"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tunproof/fuzz/capture/compare"
)

// browsers are the names of programs that can make a picture of a page.
var browsers = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}

// TestBrowser opens a page in a browser and checks that it shows something: the colours of
// the verdict, of the picture and of a mark.
func TestBrowser(t *testing.T) {
	program := ""
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skipf("none of the browsers %v is installed", browsers)
	}
	list := bulk(60, 200)
	html, _ := compared(t, write(t, "before.pcapng", list), write(t, "after.pcapng", broken(list)), compare.Config{})
	dir := t.TempDir()
	name, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	if err := os.WriteFile(name, html, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	// The page comes from this test, so the browser needs no sandbox, which root cannot have.
	out, err := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--blink-settings=preferredColorScheme=1", "--window-size=1200,2000", "--screenshot="+shot, "file://"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	count := map[[3]uint8]int{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			count[[3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}]++
		}
	}
	for _, want := range []struct {
		what   string
		colour [3]uint8
		least  int
	}{
		{"the paper", [3]uint8{0xFF, 0xFF, 0xFF}, 500_000},
		{"the verdict, or lost packets", [3]uint8{0xC9, 0x22, 0x2D}, 150},
		{"segments", [3]uint8{0x4A, 0x7F, 0xB5}, 150},
		{"duplicated packets", [3]uint8{0x82, 0x50, 0xDF}, 50},
		{"changed packets", [3]uint8{0xBC, 0x4C, 0x00}, 50},
		{"reordered packets", [3]uint8{0x9A, 0x67, 0x00}, 50},
		{"marked bytes", [3]uint8{0xFF, 0xE0, 0x8A}, 150},
	} {
		if count[want.colour] < want.least {
			t.Errorf("%d pixels have the colour of %s, want at least %d", count[want.colour], want.what, want.least)
		}
	}
}

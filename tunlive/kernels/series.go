// SPDX-License-Identifier: MIT

// Package kernels runs a program on Linux kernels of many versions. Each runs in a
// QEMU virtual machine, without a network and without root. The kernels are packages
// of a distribution, fetched once and kept. The program must be static, for example a
// test binary.
package kernels

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Series is a line of kernels, of which the newest is used.
type Series struct {
	Name    string // "6.12", "6.12-s390x"
	Arch    string // Go's name of the architecture
	From    [2]int // first major and minor version
	To      [2]int // the last
	Suites  []string
	Flavour string // last part of the package's name
}

// All are the series that are run: the long-term kernels of distributions, one with
// UDP tunnel offload, the newest, and two other architectures, one of them
// big-endian.
var All = []Series{
	{"5.10", "amd64", [2]int{5, 10}, [2]int{5, 10}, []string{"bullseye", "bullseye-security"}, "cloud-amd64"},
	{"6.1", "amd64", [2]int{6, 1}, [2]int{6, 1}, []string{"bookworm", "bookworm-security"}, "cloud-amd64"},
	{"6.12", "amd64", [2]int{6, 12}, [2]int{6, 12}, []string{"trixie", "trixie-security"}, "cloud-amd64"},
	{"6.18", "amd64", [2]int{6, 17}, [2]int{6, 99}, []string{"trixie-backports"}, "cloud-amd64"},
	{"7", "amd64", [2]int{7, 0}, [2]int{99, 0}, []string{"trixie-backports"}, "cloud-amd64"},
	{"6.12-s390x", "s390x", [2]int{6, 12}, [2]int{6, 12}, []string{"trixie", "bookworm-backports", "bookworm-security"}, "s390x"},
	{"6.12-arm64", "arm64", [2]int{6, 12}, [2]int{6, 12}, []string{"trixie"}, "cloud-arm64"},
}

// Named returns the series with these names, or all if there are none.
func Named(names []string) ([]Series, error) {
	if len(names) == 0 {
		return All, nil
	}
	var list []Series
	for _, n := range names {
		at := slices.IndexFunc(All, func(s Series) bool { return s.Name == n })
		if at < 0 {
			return nil, fmt.Errorf("no series %q", n)
		}
		list = append(list, All[at])
	}
	return list, nil
}

// packages returns the packages of the newest kernel of a series, chosen from the
// names of all packages. It is one package, or from 6.19 on two: the kernel and the
// modules.
func (s Series) packages(names []string) ([]string, error) {
	name := regexp.MustCompile(`^linux-image-([0-9][^-]*(?:-[0-9.]+)?)-` + regexp.QuoteMeta(s.Flavour) + `$`)
	var versions []string
	for _, n := range names {
		m := name.FindStringSubmatch(n)
		if m == nil {
			continue
		}
		v := numbers(m[1])
		if len(v) > 2 && !less(v, s.From[:]) && !less(s.To[:], v[:2]) {
			versions = append(versions, m[1])
		}
	}
	slices.SortFunc(versions, func(a, b string) int {
		if less(numbers(a), numbers(b)) {
			return 1
		}
		return -1
	})
	for _, v := range versions {
		of := func(kind string) string { return "linux-" + kind + "-" + v + "-" + s.Flavour }
		if n := numbers(v); less(n, []int{6, 19}) {
			return []string{of("image")}, nil
		}
		if slices.Contains(names, of("binary")) && slices.Contains(names, of("modules")) {
			return []string{of("binary"), of("modules")}, nil
		}
	}
	return nil, fmt.Errorf("no kernel of this series among the packages of %s", strings.Join(s.Suites, ", "))
}

// numbers returns the numbers in a version, for comparing: 6.1.0-56 is before
// 6.1.0-100.
func numbers(version string) []int {
	var list []int
	for _, part := range strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(part)
		list = append(list, n)
	}
	return list
}

func less(a, b []int) bool { return slices.Compare(a, b) < 0 }

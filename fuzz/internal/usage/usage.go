// SPDX-License-Identifier: MIT

// Package usage has what programs of tunproof share about their command lines: flags of a
// time, the name that was meant, and the flags of the programs of nested modules.
package usage

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Time adds a flag for a time to flags. Its value is a duration as Go writes it, such as
// 90s or 1h30m, or a number of seconds.
func Time(flags *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	flags.Var((*seconds)(p), name, usage)
}

// seconds is the value of a flag for a time.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, notNumber := strconv.ParseFloat(text, 64); notNumber == nil {
		d, err = time.ParseDuration(strconv.FormatFloat(n, 'f', -1, 64) + "s")
	}
	if err != nil {
		return fmt.Errorf("want a time such as 90s, 10m or 1h30m, or a number of seconds")
	}
	*s = seconds(d)
	return nil
}

// Nearest returns the word of known that word was probably meant to be, or "" if it is
// like none of them. A word is like another if it is its beginning, or if a change of every
// third letter makes one the other.
func Nearest(word string, known []string) string {
	best, least := "", len(word)/3
	for _, k := range known {
		if word != "" && strings.HasPrefix(k, word) {
			return k
		}
		if n := distance(word, k); n <= least && (best == "" || n < least) {
			best, least = k, n
		}
	}
	return best
}

// Meant returns a question with the word of known that word was probably meant to be, or
// "" if it is like none of them.
func Meant(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

// distance returns the number of letters to insert, remove, replace or exchange with the
// next one, so that a becomes b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for k := range rows[0] {
		rows[0][k] = k
	}
	for i := 1; i <= len(a); i++ {
		for k := 1; k <= len(b); k++ {
			change := 1
			if a[i-1] == b[k-1] {
				change = 0
			}
			rows[i][k] = min(rows[i-1][k]+1, rows[i][k-1]+1, rows[i-1][k-1]+change)
			if i > 1 && k > 1 && a[i-1] == b[k-2] && a[i-2] == b[k-1] {
				rows[i][k] = min(rows[i][k], rows[i-2][k-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// SPDX-License-Identifier: MIT

package svg

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Log is a logarithmic axis between two values, on pixels.
type Log struct {
	Low, High float64 // the values at its ends, both over 0
	From, To  float64 // the pixels of these
}

// At returns the pixel of a value.
func (a Log) At(v float64) float64 {
	return a.From + (a.To-a.From)*math.Log(v/a.Low)/math.Log(a.High/a.Low)
}

// Tick is a value on an axis. If its neighbours leave no room, it has no label.
type Tick struct {
	Value float64
	Label string
}

// Ticks returns the values 1, 2 and 5 times powers of ten that are on the axis. Labels are at
// least apart pixels from each other. Powers of ten get theirs first, then 5 times them.
func (a Log) Ticks(apart float64) (list []Tick) {
	for decade := math.Pow(10, math.Floor(math.Log10(a.Low))); decade <= a.High; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := m * decade; v >= a.Low*.999 && v <= a.High*1.001 {
				list = append(list, Tick{Value: v})
			}
		}
	}
	var at []float64
	for _, leading := range []string{"1", "5", "2"} {
		for i := range list {
			label := Number(list[i].Value)
			x := a.At(list[i].Value)
			near := slices.ContainsFunc(at, func(y float64) bool { return math.Abs(x-y) < apart })
			if strings.Trim(label, "0,.") == leading && !near {
				list[i].Label = label
				at = append(at, x)
			}
		}
	}
	return list
}

// Number returns a number with commas between thousands.
func Number(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if v != math.Trunc(v) {
		s = strconv.FormatFloat(v, 'g', 6, 64)
	}
	whole, rest, point := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		return whole + "." + rest
	}
	return whole
}

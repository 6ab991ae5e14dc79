// SPDX-License-Identifier: MIT

package tun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"tunproof/offload"
)

// drawStats draws all counters.
func drawStats(t *rapid.T) (s Stats) {
	fill := func(v reflect.Value) {
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Uint64 {
				f.SetUint(rapid.Uint64().Draw(t, v.Type().Field(i).Name))
			}
		}
	}
	fill(reflect.ValueOf(&s.Read).Elem())
	fill(reflect.ValueOf(&s.Write).Elem())
	for r := range s.Write.Reasons {
		s.Write.Reasons[r] = rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1}).Draw(t, offload.Reason(r).String())
	}
	s.Refused = Protocols(rapid.Uint8Range(0, uint8(allProtocols)).Draw(t, "refused"))
	s.UDPLimited = rapid.Bool().Draw(t, "limited")
	return s
}

// TestStatsText checks that all counters have their names in JSON, which is read back,
// and in a log. A log leaves out Reasons that count 0.
func TestStatsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawStats(t)
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Stats
		if err := json.Unmarshal(b, &back); err != nil || back != s {
			t.Fatalf("%s: read back as %+v, %v", b, back, err)
		}
		var text, object bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "tun", s)
		slog.New(slog.NewJSONHandler(&object, nil)).Info("m", "tun", s)
		var logged struct{ Tun Stats }
		if err := json.Unmarshal(object.Bytes(), &logged); err != nil || logged.Tun != s {
			t.Fatalf("%s: read back as %+v, %v", &object, logged.Tun, err)
		}
		line := " " + strings.TrimSpace(text.String()) + " "
		count := 0
		has := func(name string, v any) {
			t.Helper()
			count++
			if want := fmt.Sprintf(" tun.%s=%v ", name, v); !strings.Contains(line, want) {
				t.Fatalf("%q lacks %q", line, want)
			}
		}
		for prefix, part := range map[string]any{"Read.": s.Read, "Write.": s.Write} {
			for v, i := reflect.ValueOf(part), 0; i < v.NumField(); i++ {
				if v.Field(i).Kind() == reflect.Uint64 {
					has(prefix+v.Type().Field(i).Name, v.Field(i))
				}
			}
		}
		for r, n := range s.Write.Reasons {
			if n > 0 {
				has("Write.Reasons."+offload.Reason(r).String(), n)
			}
		}
		has("Refused", s.Refused)
		has("UDPLimited", s.UDPLimited)
		if n := strings.Count(line, " tun."); n != count {
			t.Fatalf("%q has %d fields, want %d", line, n, count)
		}
	})
}

// TestReasonsJSON checks the order of names, and objects that are not Reasons.
func TestReasonsJSON(t *testing.T) {
	var c Reasons
	c[offload.Joined], c[offload.Mismatch] = 7, 9
	b, err := json.Marshal(c)
	if s := string(b); err != nil || !strings.HasPrefix(s, `{"Joined":7,"NoAddresses":0,`) || !strings.HasSuffix(s, `,"Mismatch":9}`) {
		t.Errorf("%s, %v", b, err)
	}
	for text, want := range map[string]string{
		`{"Joint":1}`: `there is no Reason "Joint"`, `{"Joined":-1}`: "cannot unmarshal", `[1]`: "cannot unmarshal",
	} {
		back := c
		if err := json.Unmarshal([]byte(text), &back); err == nil || !strings.Contains(err.Error(), want) || back != c {
			t.Errorf("%s: %v, %v, want %q", text, back, err, want)
		}
	}
	if err := json.Unmarshal([]byte(`{"First":3}`), &c); err != nil || c != (Reasons{offload.First: 3}) {
		t.Errorf("%v, %v", c, err)
	}
}

// TestProtocolsText checks that sets of protocols are read back, and nothing else is.
func TestProtocolsText(t *testing.T) {
	for p := range allProtocols + 1 {
		text, err := p.MarshalText()
		back := Protocols(99)
		if e := back.UnmarshalText(text); err != nil || e != nil || back != p {
			t.Errorf("%v: %q, %v, read back as %v, %v", p, text, err, back, e)
		}
	}
	for _, text := range []string{"", "TCP", "UDP|TCPv4", "7"} {
		p := TCPv6
		if err := p.UnmarshalText([]byte(text)); err == nil || p != TCPv6 {
			t.Errorf("%q is read as %v, %v", text, p, err)
		}
	}
}

// TestRefusalLog checks that a Refusal is logged as the line that "tunproof replay" reads.
func TestRefusalLog(t *testing.T) {
	r := &Refusal{Device: "tun0", Err: syscall.EINVAL, Header: []byte{0x45}, Len: 1, Packets: 1, Off: UDP}
	if got := (&Refusal{Device: "tun0", Err: syscall.EINVAL, Packets: 1}).String(); got != "tun0: write of 1 packets in 0 bytes: invalid argument" {
		t.Errorf("an empty packet: %s", got)
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("refused", "write", r)
	var line struct{ Write string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Write != r.String() {
		t.Errorf("%s: %v", &b, err)
	}
}

package clamd_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"clamav-sidecar/sidecar/clamd"
)

func TestParseReplyKnowsEveryReplyOfClamd(t *testing.T) {
	tests := map[string]clamd.Reply{
		"stream: OK":                                              {Status: clamd.OK},
		"1: stream: OK":                                           {ID: 1, Status: clamd.OK},
		"4294967295: stream: OK":                                  {ID: 4294967295, Status: clamd.OK},
		"stream: Eicar-Test-Signature FOUND":                      {Status: clamd.Found, Text: "Eicar-Test-Signature"},
		"7: stream: Eicar-Test-Signature FOUND":                   {ID: 7, Status: clamd.Found, Text: "Eicar-Test-Signature"},
		"2: stream: Heuristics.Encrypted.Zip FOUND":               {ID: 2, Status: clamd.Found, Text: "Heuristics.Encrypted.Zip"},
		"2: stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND": {ID: 2, Status: clamd.Found, Text: "Heuristics.Limits.Exceeded.MaxScanSize"},
		"1: stream: Win.Test(0123abcd:68) FOUND":                  {ID: 1, Status: clamd.Found, Text: "Win.Test(0123abcd:68)"},
		"1: stream: Two words: and a colon FOUND":                 {ID: 1, Status: clamd.Found, Text: "Two words: and a colon"},
		"1: stream: OK FOUND":                                     {ID: 1, Status: clamd.Found, Text: "OK"},
		"1: stream: FOUND FOUND":                                  {ID: 1, Status: clamd.Found, Text: "FOUND"},
		"1: stream: S\u00ef\u00f1 FOUND":                          {ID: 1, Status: clamd.Found, Text: "S\u00ef\u00f1"},
		"INSTREAM size limit exceeded. ERROR":                     {Status: clamd.Error, Text: "INSTREAM size limit exceeded."},
		"1: INSTREAM size limit exceeded. ERROR":                  {ID: 1, Status: clamd.Error, Text: "INSTREAM size limit exceeded."},
		"COMMAND READ TIMED OUT":                                  {Status: clamd.Error, Text: "COMMAND READ TIMED OUT"},
		"3: COMMAND READ TIMED OUT":                               {ID: 3, Status: clamd.Error, Text: "COMMAND READ TIMED OUT"},
		"UNKNOWN COMMAND":                                         {Status: clamd.Error, Text: "UNKNOWN COMMAND"},
		"COMMAND UNAVAILABLE":                                     {Status: clamd.Error, Text: "COMMAND UNAVAILABLE"},
		"Error writing to temporary file ERROR":                   {Status: clamd.Error, Text: "Error writing to temporary file"},
		"9: Error writing to temporary file ERROR":                {ID: 9, Status: clamd.Error, Text: "Error writing to temporary file"},
		"Error processing command. ERROR":                         {Status: clamd.Error, Text: "Error processing command."},
		"1: Command invalid inside IDSESSION. ERROR":              {ID: 1, Status: clamd.Error, Text: "Command invalid inside IDSESSION."},
		"stream: Can't allocate memory ERROR":                     {Status: clamd.Error, Text: "Can't allocate memory"},
		"5: stream: Can't allocate memory ERROR":                  {ID: 5, Status: clamd.Error, Text: "Can't allocate memory"},
	}
	for line, want := range tests {
		t.Run(line, func(t *testing.T) {
			got, err := clamd.ParseReply([]byte(line))
			if err != nil || got != want {
				t.Errorf("got %+v and error %v, want %+v", got, err, want)
			}
		})
	}
}

func TestParseReplyRefusesAllElse(t *testing.T) {
	tests := map[string]string{
		"nothing":                         "",
		"a blank":                         " ",
		"OK alone":                        "OK",
		"an id alone":                     "1: ",
		"an id and OK":                    "1: OK",
		"an id without a blank":           "1:stream: OK",
		"half a line":                     "1: stream: O",
		"half a line that ends in stream": "1: stream: ",
		"OK with something behind it":     "1: stream: OK ",
		"OK with something before it":     " 1: stream: OK",
		"two OK":                          "1: stream: OK1: stream: OK",
		"OK and a newline":                "1: stream: OK\n",
		"OK and a zero byte":              "1: stream: OK\x00",
		"OK in small letters":             "1: stream: ok",
		"OK of a file":                    "/tmp/file: OK",
		"OK of an empty name":             ": OK",
		"OK of another stream":            "stream:stream: OK",
		"two ids":                         "1: 2: stream: OK",
		"id 0":                            "0: stream: OK",
		"an id with a leading zero":       "01: stream: OK",
		"an id of zeros":                  "00: stream: OK",
		"an id over 32 bits":              "4294967296: stream: OK",
		"an id over 64 bits":              "99999999999999999999: stream: OK",
		"a negative id":                   "-1: stream: OK",
		"an id with a sign":               "+1: stream: OK",
		"an id with a blank":              "1 : stream: OK",
		"an id that is no number":         "1a: stream: OK",
		"a signature without a name":      "1: stream: (null) FOUND",
		"an empty name":                   "1: stream:  FOUND",
		"no name":                         "1: stream: FOUND",
		"a name of blanks":                "1: stream:     FOUND",
		"a name with a newline":           "1: stream: A\nB FOUND",
		"a name with a zero byte":         "1: stream: A\x00B FOUND",
		"a name with an escape":           "1: stream: \x1b[31mA FOUND",
		"a name with a delete":            "1: stream: A\x7f FOUND",
		"FOUND outside a stream":          "1: Eicar-Test-Signature FOUND",
		"FOUND of a file":                 "/tmp/file: Eicar-Test-Signature FOUND",
		"an error without a text":         "1: stream: ERROR",
		"an error of blanks":              "1: stream:   ERROR",
		"an error with a newline":         "1: a\nb ERROR",
		"ERROR alone":                     "ERROR",
		"PONG":                            "PONG",
		"a version":                       "ClamAV 1.4.6",
		"garbage":                         "\xff\xfe\x00\x01",
		"an HTTP reply":                   "HTTP/1.1 400 Bad Request\r\n\r\n",
	}
	for name, line := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := clamd.ParseReply([]byte(line))
			if !errors.Is(err, clamd.ErrMalformed) || got != (clamd.Reply{}) {
				t.Errorf("%q: got %+v and error %v, want no reply and %v", line, got, err, clamd.ErrMalformed)
			}
		})
	}
}

func TestParseReplyQuotesLittleOfALongLine(t *testing.T) {
	line := bytes.Repeat([]byte{0xff}, 4000)
	_, err := clamd.ParseReply(line)
	if err == nil || len(err.Error()) > 600 || !strings.HasSuffix(err.Error(), `..."`) {
		t.Errorf("got error %v, want a short one that ends with an ellipsis", err)
	}
	if !bytes.Equal(line, bytes.Repeat([]byte{0xff}, 4000)) {
		t.Error("the line was changed, want it left alone")
	}
}

func TestReplyTellsWhoseFaultAnErrorIs(t *testing.T) {
	tests := map[string]struct{ tooLarge, replicaFault bool }{
		"1: stream: OK":                                  {},
		"1: stream: COMMAND UNAVAILABLE FOUND":           {},
		"INSTREAM size limit exceeded. ERROR":            {tooLarge: true},
		"1: INSTREAM size limit exceeded. ERROR":         {tooLarge: true},
		"1: stream: INSTREAM size limit exceeded. FOUND": {},
		"COMMAND READ TIMED OUT":                         {replicaFault: true},
		"COMMAND UNAVAILABLE":                            {replicaFault: true},
		"Error writing to temporary file ERROR":          {replicaFault: true},
		"1: Error writing to temporary file ERROR":       {replicaFault: true},
		"1: stream: Can't allocate memory ERROR":         {replicaFault: true},
		"UNKNOWN COMMAND":                                {},
		// What clamd says when it shuts down under a body.
		"1: Error processing command. ERROR":                           {replicaFault: true},
		"1: PROTOCOL ERROR: ancillary data sent without FILDES. ERROR": {replicaFault: true},
		"1: stream: Can't open file or directory ERROR":                {},
	}
	for line, want := range tests {
		t.Run(line, func(t *testing.T) {
			reply, err := clamd.ParseReply([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			if reply.TooLarge() != want.tooLarge || reply.ReplicaFault() != want.replicaFault {
				t.Errorf("got too large %v and fault of the replica %v, want %v and %v",
					reply.TooLarge(), reply.ReplicaFault(), want.tooLarge, want.replicaFault)
			}
		})
	}
	if none := (clamd.Reply{}); none.TooLarge() || none.ReplicaFault() || none.Status == clamd.OK {
		t.Error("a reply that nobody filled in: got a meaning, want none")
	}
}

// okLine is the only form of a reply that means OK.
var okLine = regexp.MustCompile(`\A([1-9][0-9]*: )?stream: OK\z`)

func FuzzParseReply(f *testing.F) {
	for _, seed := range []string{
		"stream: OK", "1: stream: OK", "0: stream: OK", "1: stream: OK\n", "1: stream: (null) FOUND", "1: stream: A FOUND",
		"INSTREAM size limit exceeded. ERROR", "COMMAND READ TIMED OUT", "1: 1: stream: OK", "4294967296: stream: OK", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		reply, err := clamd.ParseReply(line)
		if err != nil {
			if !errors.Is(err, clamd.ErrMalformed) || reply != (clamd.Reply{}) {
				t.Fatalf("%q: got %+v and error %v, want no reply and %v", line, reply, err, clamd.ErrMalformed)
			}
			return
		}
		switch reply.Status {
		case clamd.OK:
			if !okLine.Match(line) || reply.Text != "" {
				t.Fatalf("%q: got %+v, want OK for `[id: ]stream: OK` alone", line, reply)
			}
		case clamd.Found, clamd.Error:
			if strings.TrimSpace(reply.Text) == "" || strings.ContainsAny(reply.Text, "\x00\r\n\x1b\x7f") || !bytes.Contains(line, []byte(reply.Text)) {
				t.Fatalf("%q: got the text %q, want a printable part of the line", line, reply.Text)
			}
		default:
			t.Fatalf("%q: got %+v and no error, want a status", line, reply)
		}
	})
}

package service_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// cabinetBlock is how much of a file one block of a cabinet holds at most.
const cabinetBlock = 32 << 10

// cabinet gives a Microsoft cabinet with one file, compressed by MSZIP, that has
// that many MiB of blanks, then a text.
func cabinet(t *testing.T, size int, text string) []byte {
	t.Helper()
	const header, folder, file = 36, 8, 16 + len("a\x00") // bytes of each part before the blocks
	content := []byte(strings.Repeat(" ", size<<20) + text)
	var blocks bytes.Buffer
	count := 0
	for rest := content; len(rest) > 0; count++ {
		block := rest[:min(len(rest), cabinetBlock)]
		rest = rest[len(block):]
		packed := bytes.NewBufferString("CK")
		w, err := flate.NewWriter(packed, flate.BestCompression)
		must(t, err)
		_, err = w.Write(block)
		must(t, err)
		must(t, w.Close())
		write(t, &blocks, uint32(0), uint16(packed.Len()), uint16(len(block))) // 0: no checksum
		blocks.Write(packed.Bytes())
	}

	var b bytes.Buffer
	total := uint32(header + folder + file + blocks.Len())
	write(t, &b, []byte("MSCF"), uint32(0), total, uint32(0), uint32(header+folder), uint32(0),
		[]byte{3, 1}, uint16(1), uint16(1), uint16(0), uint16(0), uint16(0)) // version 1.3, 1 folder, 1 file
	write(t, &b, uint32(header+folder+file), uint16(count), uint16(1)) // 1: MSZIP
	write(t, &b, uint32(len(content)), uint32(0), uint16(0), uint16(0x5021), uint16(0), uint16(0x20), []byte("a\x00"))
	b.Write(blocks.Bytes())
	return b.Bytes()
}

// write writes numbers in little endian.
func write(t *testing.T, w io.Writer, values ...any) {
	t.Helper()
	for _, value := range values {
		must(t, binary.Write(w, binary.LittleEndian, value))
	}
}

// What is left of MaxScanSize is as much of a cabinet's file as clamd unpacks, and
// all of what it has unpacked is within MaxScanSize (seen with 1.4.6).
func TestACabinetOfWhichClamdScansAPartIsNotClean(t *testing.T) {
	t.Parallel()
	p := filled(t, values{"limits": values{"scanSize": 4, "fileSize": 1}})
	p.serve(t)
	within := cabinet(t, 3, oldMalware)
	filler := string(bytes.Repeat([]byte{'x'}, 3<<20))
	uploads := []struct{ name, body string }{
		{"a file above scanSize", string(cabinet(t, 5, oldMalware))},
		{"a file within scanSize, of which what stands before has used most", archive(t, filler, string(within))},
		{"the same file again, alone", string(within)}, // clamd remembers what was clean
	}
	for _, upload := range uploads {
		if got, err := scan(p.address(), strings.NewReader(upload.body)); err != nil || got == clean {
			t.Errorf("%s: got %q and error %v for a cabinet with malware at its end", upload.name, got, err)
		}
	}
}

// archive gives a zip with files of these contents.
func archive(t *testing.T, contents ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, content := range contents {
		entry, err := w.Create(strconv.Itoa(i))
		must(t, err)
		_, err = io.WriteString(entry, content)
		must(t, err)
	}
	must(t, w.Close())
	return b.String()
}

// entry gives a zip of one file with a text, stored, in which the bytes at an
// offset of the local header and of the central directory are others.
func entry(t *testing.T, text string, local, central map[int]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: "a", Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)),
		CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text))}
	raw, err := w.CreateRaw(header)
	must(t, err)
	_, err = io.WriteString(raw, text)
	must(t, err)
	must(t, w.Close())
	archive := b.Bytes()
	for start, changes := range map[int]map[int]string{0: local, bytes.Index(archive, []byte("PK\x01\x02")): central} {
		for offset, change := range changes {
			copy(archive[start+offset:], change)
		}
	}
	return string(archive)
}

// What clamd 1.4.6 does not unpack, and calls OK, it is to call unscannable.
func TestWhatClamdDoesNotUnpackIsUnscannable(t *testing.T) {
	t.Parallel()
	p := filled(t, values{})
	p.serve(t)
	method := func(number string) string {
		return entry(t, "packed", map[int]string{8: number}, map[int]string{10: number})
	}
	const unscannable = `stream: Heuristics\.Limits\.Exceeded\.%s\.UNOFFICIAL FOUND`
	tests := map[string]struct{ body, want string }{
		"a cabinet":                        {string(cabinet(t, 0, "clean")), fmt.Sprintf(unscannable, "Cab")},
		"a zip64 entry":                    {entry(t, "clean", map[int]string{18: "\xff\xff\xff\xff\xff\xff\xff\xff"}, nil), fmt.Sprintf(unscannable, "Zip64")},
		"a zip with LZMA":                  {method("\x0e\x00"), fmt.Sprintf(unscannable, "ZipLzma")},
		"a zip with Zstandard":             {method("\x5d\x00"), fmt.Sprintf(unscannable, "ZipZstd")},
		"a zip with XZ":                    {method("\x5f\x00"), fmt.Sprintf(unscannable, "ZipXz")},
		"a zip with PPMd":                  {method("\x62\x00"), fmt.Sprintf(unscannable, "ZipPpmd")},
		"a zip in a zip with PPMd":         {archive(t, "clean", method("\x62\x00")), fmt.Sprintf(unscannable, "ZipPpmd")},
		"two streams of bzip2":             {"BZh91AY&SY" + "first" + "BZh91AY&SY" + "second", fmt.Sprintf(unscannable, "Bzip2Streams")},
		"malware in a cabinet, found":      {string(cabinet(t, 0, oldMalware)), foundOld},
		"an ordinary zip is clean":         {archive(t, "clean", "files"), clean},
		"an ordinary entry is clean":       {entry(t, "clean", nil, nil), clean},
		"one stream of bzip2 is clean":     {"BZh91AY&SY" + "first", clean},
		"a text about PK\x03\x04 is clean": {"PK\x03\x04 begins a zip", clean},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := scan(p.address(), strings.NewReader(test.body)); err != nil || !regexp.MustCompile("^"+test.want+"$").MatchString(got) {
				t.Errorf("got %q and error %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestTheChartsOwnSignaturesComeAndGoWithTheValue(t *testing.T) {
	t.Parallel()
	m := serving(t)
	var database string
	for _, alert := range []bool{true, false} {
		r := render(t, values{
			"officialDatabases": []string{}, "customDatabaseURLs": []string{m.URL + "/ours.ndb"}, "alertUnreadable": alert,
		})
		if database == "" {
			database = volume(t, r.clamd)
		}
		port := freePort(t)
		wantExit(t, newPod(t, r, r.freshclam, database, port).start(t, "signatures", soon), 0)
		replica := newPod(t, r, r.clamd, database, port)
		wantExit(t, replica.start(t, "signatures"), 0)
		replica.serve(t)
		got, err := scan(replica.address(), bytes.NewReader(cabinet(t, 0, "clean")))
		must(t, err)
		if is := got != clean; is != alert {
			t.Errorf("alertUnreadable %t: got %q for a cabinet", alert, got)
		}
	}
}

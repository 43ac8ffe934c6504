package corpus

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"
)

// EncryptedZip returns a zip archive that holds the EICAR test file, encrypted
// with a password: clamd can see that it is encrypted, and no more. With
// AlertEncrypted it reports Heuristics.Encrypted.Zip, without it OK.
func EncryptedZip() ([]byte, error) {
	plain := EICAR()
	sum := crc32.ChecksumIEEE(plain)

	// The twelve bytes before the data are random in real archives, but for the
	// last, by which a reader checks the password (APPNOTE.TXT, 6.1.5).
	header := [12]byte{11: byte(sum >> 24)}
	sealed := newZipCipher("clamav-sidecar").encrypt(append(header[:], plain...))

	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	entry, err := w.CreateRaw(&zip.FileHeader{
		Name:               "eicar.com",
		Flags:              0x1, // encrypted
		Method:             zip.Store,
		CRC32:              sum,
		CompressedSize64:   uint64(len(sealed)),
		UncompressedSize64: uint64(len(plain)),
	})
	if err != nil {
		return nil, fmt.Errorf("make an encrypted zip: %w", err)
	}
	if _, err := entry.Write(sealed); err != nil {
		return nil, fmt.Errorf("make an encrypted zip: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("make an encrypted zip: %w", err)
	}
	return archive.Bytes(), nil
}

// zipCipher is the traditional encryption of PKZIP (APPNOTE.TXT, 6.1). It is
// broken as a cipher, and the one that every zip program writes and knows.
type zipCipher struct{ k0, k1, k2 uint32 }

func newZipCipher(password string) *zipCipher {
	c := &zipCipher{0x12345678, 0x23456789, 0x34567890}
	for i := range len(password) {
		c.update(password[i])
	}
	return c
}

// encrypt encrypts data in place and returns it.
func (c *zipCipher) encrypt(data []byte) []byte {
	for i, plain := range data {
		t := uint16(c.k2) | 2
		data[i] = plain ^ byte(uint32(t)*uint32(t^1)>>8)
		c.update(plain)
	}
	return data
}

// update advances the keys by one byte of plain text.
func (c *zipCipher) update(plain byte) {
	c.k0 = crcStep(c.k0, plain)
	c.k1 = (c.k1+c.k0&0xff)*134775813 + 1
	c.k2 = crcStep(c.k2, byte(c.k1>>24))
}

// crcStep is one step of CRC-32 without the inversions at its ends.
func crcStep(crc uint32, b byte) uint32 {
	return crc32.IEEETable[byte(crc)^b] ^ crc>>8
}

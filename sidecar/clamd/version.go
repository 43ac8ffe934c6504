package clamd

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Version is clamd's reply to VERSION.
type Version struct {
	// Engine is the release, such as "1.4.6".
	Engine string
	// Signatures is the version of the daily database, 0 when clamd has loaded
	// no official one.
	Signatures int
	// Built is when that database was made; zero when clamd does not say.
	Built time.Time
}

// ParseVersion reads "ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026", or
// "ClamAV 1.4.6" as a clamd says that has loaded no official database. clamd
// writes the time with ctime(3), in its own time zone, which it does not name;
// it is taken as UTC, the zone of every image without one.
func ParseVersion(line string) (Version, error) {
	text, ok := strings.CutPrefix(strings.TrimRight(line, "\x00\r\n"), "ClamAV ")
	if !ok || text == "" || !isPrintable(text) {
		return Version{}, fmt.Errorf("%w: %.120q is not a version", ErrMalformed, line)
	}
	parts := strings.SplitN(text, "/", 3)
	version := Version{Engine: parts[0]}
	if version.Engine == "" || len(parts) == 2 {
		return Version{}, fmt.Errorf("%w: %.120q is not a version", ErrMalformed, line)
	}
	if len(parts) == 3 {
		number, err := strconv.Atoi(parts[1])
		if err != nil || number < 0 {
			return Version{}, fmt.Errorf("%w: %.120q has no signature version", ErrMalformed, line)
		}
		built, err := time.Parse(time.ANSIC, parts[2])
		if err != nil {
			return Version{}, fmt.Errorf("%w: %.120q has no signature date", ErrMalformed, line)
		}
		version.Signatures, version.Built = number, built
	}
	return version, nil
}

package clamd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The names under which clamd reports the test signatures. It marks signatures
// that ClamAV's makers have not signed as UNOFFICIAL.
const (
	EICAR    = "Eicar-Test-Signature.UNOFFICIAL" // the EICAR test file
	TestFile = "ClamAV-Test-File.UNOFFICIAL"     // ClamAV's own test file, in all files of clamav-testfiles
	Tiny     = "Tiny-Test.UNOFFICIAL"            // a body that begins with 11111; if that is all of it, clamd does not scan it, since it skips bodies of five bytes or less
)

// testSignatures are the databases by file name. Two are bound to offset 0: the
// EICAR signature as the real one is, the tiny one because anywhere in a program
// five bytes match by chance. The EICAR test file is written in hexadecimal, so
// that no scanner finds it in this source.
var testSignatures = map[string]string{
	"test.ndb": "Eicar-Test-Signature:0:0:" +
		"58354f2150254041505b345c505a58353428505e2937434329377d2445494341" +
		"522d5354414e444152442d414e544956495255532d544553542d46494c452124" + "482b482a\n" +
		"Tiny-Test:0:0:3131313131\n",
	"test.hdb": "aa15bcf478d165efd2065190eb473bcb:544:ClamAV-Test-File\n",
}

// WriteSignatures writes the test signatures into dir, which it makes if it is
// not there: [EICAR], [TestFile] and [Tiny]. They do not protect anybody.
func WriteSignatures(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the database directory: %w", err)
	}
	for name, text := range testSignatures {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the test signatures: %w", err)
		}
	}
	return nil
}

// AddSignature appends one line to a file of the daemon's database directory,
// also if Options named that directory. The file's extension tells clamd the
// format, for example "more.ndb". The signature counts from the next Reload.
func (d *Daemon) AddSignature(line, file string) error {
	f, err := os.OpenFile(filepath.Join(d.opts.DatabaseDir, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("add a signature: %w", err)
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		f.Close()
		return fmt.Errorf("add a signature: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("add a signature: %w", err)
	}
	return nil
}

// Reload makes clamd read its databases again and returns when it scans with
// them. It is an error if clamd cannot read them; it then goes on with the old
// ones. At most one Reload may run at a time.
func (d *Daemon) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	logged := len(readLog(d.logPath()))
	if err := d.command(ctx, "RELOAD"); err != nil {
		return err
	}
	for {
		log := readLog(d.logPath())[logged:]
		if strings.Contains(log, "Activating the newly loaded database") {
			// The thread that puts the new engine in place also answers PING.
			return d.command(ctx, "PING")
		}
		if strings.Contains(log, "Database load failed") {
			return fmt.Errorf("reload the databases of clamd on %s; its log:\n%s%s", d.endpoint(), log, readLog(d.stderrPath()))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for clamd on %s to reload its databases: %w; its log:\n%s", d.endpoint(), ctx.Err(), log)
		case <-time.After(pollInterval):
		}
	}
}

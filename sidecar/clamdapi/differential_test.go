package clamdapi

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// conversation is what a client sends and gets back.
type conversation struct {
	send []string // one packet each
	half bool     // then the sending side is closed

	// anyOrder: clamd answers PING and VERSION before scans that came earlier.
	anyOrder bool
	// ours and clamds are the replies where they differ, and why says why.
	ours, clamds, why string
}

const timedOut = "COMMAND READ TIMED OUT\n"

const (
	silence   = "some clients take a connection that closes without a word for a clean file"
	onPurpose = "what reads the server's files or changes its state is not for a client of the sidecar"
)

// conversations are tried with both.
var conversations = map[string]conversation{
	"PING":                         {send: []string{"zPING\x00"}},
	"PING with n":                  {send: []string{"nPING\n"}},
	"PING with n and CR":           {send: []string{"nPING\r\n"}},
	"bare PING":                    {send: []string{"PING"}},
	"bare PING, newline":           {send: []string{"PING\n"}},
	"bare PING, CR and newline":    {send: []string{"PING\r\n"}},
	"bare PING in two packets":     {send: []string{"PI", "NG\n"}},
	"bare PING, zero and more":     {send: []string{"PING\x00xx\n"}},
	"PING in two packets":          {send: []string{"zPI", "NG\x00"}},
	"PING with n, zero and more":   {send: []string{"nPING\x00xx\n"}},
	"PING and newline with z":      {send: []string{"zPING\n\x00"}},
	"PING and a blank":             {send: []string{"zPING \x00"}},
	"PING in small letters":        {send: []string{"zping\x00"}},
	"PING without its end":         {send: []string{"zPING"}, half: true},
	"bare PING without its end":    {send: []string{"PING"}, half: true},
	"two commands":                 {send: []string{"zPING\x00zVERSION\x00"}},
	"VERSION":                      {send: []string{"zVERSION\x00"}},
	"VERSION with n":               {send: []string{"nVERSION\n"}},
	"bare VERSION":                 {send: []string{"VERSION"}},
	"VERSIONCOMMANDS":              {send: []string{"zVERSIONCOMMANDS\x00"}},
	"VERSIONCOMMANDS with n":       {send: []string{"nVERSIONCOMMANDS\n"}},
	"bare VERSIONCOMMANDS":         {send: []string{"VERSIONCOMMANDS\n"}},
	"VERSION and more":             {send: []string{"zVERSIONS\x00"}},
	"STATS":                        {send: []string{"zSTATS\x00"}},
	"STATS with n":                 {send: []string{"nSTATS\n"}},
	"bare STATS":                   {send: []string{"STATS\n"}},
	"an empty command":             {send: []string{"z\x00"}},
	"an empty command with n":      {send: []string{"n\n"}},
	"an empty bare command":        {send: []string{"\n"}},
	"a zero byte":                  {send: []string{"\x00"}},
	"HTTP":                         {send: []string{"GET / HTTP/1.0\r\n\r\n"}},
	"END outside a session":        {send: []string{"zEND\x00"}},
	"bare END":                     {send: []string{"END\n"}},
	"bare IDSESSION":               {send: []string{"IDSESSION\n"}},
	"bare INSTREAM":                {send: []string{"INSTREAM\n" + endMarker}},
	"an unknown command":           {send: []string{"zFOO\x00"}},
	"SCAN without a path":          {send: []string{"zSCAN\x00"}},
	"bare ALLMATCHSCAN":            {send: []string{"ALLMATCHSCAN /nowhere\n"}},
	"nothing, and an end":          {half: true},
	"the longest command":          {send: []string{"z" + strings.Repeat("A", maxCommand-2) + "\x00"}},
	"a longer command":             {send: []string{"z" + strings.Repeat("A", maxCommand-1) + "\x00"}},
	"a longer command without end": {send: []string{"n" + strings.Repeat("A", maxCommand)}},
	"a long bare command":          {send: []string{strings.Repeat("A", 2*maxCommand)}},
	"no command":                   {},
	"half a command":               {send: []string{"zPI"}},
	"a session and nothing":        {send: []string{"zIDSESSION\x00"}},
	"an n-session, nothing":        {send: []string{"nIDSESSION\nnPING\n"}},
	"a session, half a PING":       {send: []string{"zIDSESSION\x00zPI"}},

	"an empty body":                        {send: []string{"zINSTREAM\x00" + endMarker}},
	"a clean body":                         {send: []string{"zINSTREAM\x00" + chunk("hello world") + endMarker}},
	"a clean body with n":                  {send: []string{"nINSTREAM\n" + chunk("hello world") + endMarker}},
	"EICAR":                                {send: []string{"zINSTREAM\x00" + chunk(string(corpus.EICAR())) + endMarker}},
	"EICAR with n":                         {send: []string{"nINSTREAM\n" + chunk(string(corpus.EICAR())) + endMarker}},
	"EICAR in chunks of one byte":          {send: []string{"zINSTREAM\x00" + oneByteChunks(corpus.EICAR()) + endMarker}},
	"a body in many packets":               {send: []string{"zINST", "REAM\x00\x00\x00", "\x00\x05he", "llo\x00", "\x00\x00\x00"}},
	"six bytes":                            {send: []string{"zINSTREAM\x00" + chunk("111111") + endMarker}},
	"more behind the end marker":           {send: []string{"zINSTREAM\x00" + chunk("hello world") + endMarker + "zPING\x00"}},
	"a body as large as the limit":         {send: []string{"zINSTREAM\x00" + chunk(strings.Repeat("x", sizeLimit)) + endMarker}},
	"a chunk over the limit":               {send: []string{"zINSTREAM\x00\x00\x10\x00\x01"}},
	"the largest chunk":                    {send: []string{"zINSTREAM\x00\xff\xff\xff\xff"}},
	"the largest chunk with n":             {send: []string{"nINSTREAM\n\xff\xff\xff\xff"}},
	"one byte over the limit":              {send: []string{"zINSTREAM\x00" + chunk(strings.Repeat("x", sizeLimit)) + "\x00\x00\x00\x01"}},
	"a body that ends within a chunk":      {send: []string{"zINSTREAM\x00" + chunk("hello")[:5]}, half: true, ours: "stream: the upload broke off after 1 bytes, unexpected EOF ERROR\x00", why: silence},
	"a body that ends behind a chunk":      {send: []string{"zINSTREAM\x00" + chunk("hello")}, half: true, ours: "stream: the upload broke off after 5 bytes, unexpected EOF ERROR\x00", why: silence},
	"a body that ends within a length":     {send: []string{"zINSTREAM\x00\x00\x00"}, half: true, ours: "stream: the upload broke off after 0 bytes, unexpected EOF ERROR\x00", why: silence},
	"a body that ends before its first":    {send: []string{"zINSTREAM\x00"}, half: true, ours: "stream: the upload broke off after 0 bytes, unexpected EOF ERROR\x00", why: silence},
	"a whole body and an end":              {send: []string{"zINSTREAM\x00" + chunk("hello") + endMarker}, half: true},
	"an encrypted archive":                 {send: []string{"zINSTREAM\x00" + chunk(encryptedZip()) + endMarker}},
	"a session":                            {send: []string{"zIDSESSION\x00zPING\x00zVERSION\x00zVERSIONCOMMANDS\x00zEND\x00"}},
	"a session with n":                     {send: []string{"nIDSESSION\nnPING\nnVERSION\nnVERSIONCOMMANDS\nnEND\n"}},
	"a session in many packets":            {send: []string{"zIDSESSION\x00", "zPING\x00zP", "ING\x00", "zEND\x00"}},
	"a session with z and n":               {send: []string{"zIDSESSION\x00nPING\nzPING\x00nINSTREAM\n" + chunk("hello") + endMarker, "zEND\x00"}},
	"STATS in a session":                   {send: []string{"zIDSESSION\x00zSTATS\x00", "zEND\x00"}},
	"STATS in an n-session":                {send: []string{"nIDSESSION\nnSTATS\n", "nEND\n"}},
	"scans in a session":                   {send: []string{"zIDSESSION\x00zINSTREAM\x00" + chunk("hello") + endMarker + "zINSTREAM\x00" + chunk(string(corpus.EICAR())) + endMarker + "zPING\x00zINSTREAM\x00" + endMarker + "zEND\x00"}, anyOrder: true},
	"scans in an n-session":                {send: []string{"nIDSESSION\nnINSTREAM\n" + chunk("hello") + endMarker, "nINSTREAM\n" + chunk(string(corpus.EICAR())) + endMarker, "nPING\n", "nEND\n"}, anyOrder: true},
	"END and more":                         {send: []string{"zIDSESSION\x00zEND\x00zPING\x00"}},
	"a session within a session":           {send: []string{"zIDSESSION\x00zPING\x00zIDSESSION\x00zPING\x00"}},
	"an unknown command in a session":      {send: []string{"zIDSESSION\x00zPING\x00zVERSION\x00zFOO\x00zPING\x00"}},
	"an empty command in a session":        {send: []string{"zIDSESSION\x00z\x00"}},
	"CONTSCAN in a session":                {send: []string{"zIDSESSION\x00zCONTSCAN /nowhere\x00"}},
	"MULTISCAN in a session":               {send: []string{"nIDSESSION\nnMULTISCAN /nowhere\n"}},
	"RELOAD in a session":                  {send: []string{"zIDSESSION\x00zRELOAD\x00"}},
	"SHUTDOWN in a session":                {send: []string{"zIDSESSION\x00zSHUTDOWN\x00"}},
	"a bare command in a session":          {send: []string{"zIDSESSION\x00", "PING\n"}},
	"a bare command in an n-session":       {send: []string{"nIDSESSION\nnPING\n", "PING\n"}},
	"a body over the limit in a session":   {send: []string{"zIDSESSION\x00zPING\x00zINSTREAM\x00\xff\xff\xff\xff"}},
	"a body over the limit in n-session":   {send: []string{"nIDSESSION\nnINSTREAM\n\xff\xff\xff\xff"}},
	"half a body in a session":             {send: []string{"zIDSESSION\x00zPING\x00zINSTREAM\x00" + chunk("hello")}, half: true, clamds: "1: PONG\x00", ours: "1: PONG\x002: stream: the upload broke off after 5 bytes, unexpected EOF ERROR\x00", why: silence},
	"a session that ends without END":      {send: []string{"zIDSESSION\x00zPING\x00"}, half: true},
	"a long command in a session":          {send: []string{"zIDSESSION\x00zPING\x00", "z" + strings.Repeat("A", maxCommand)}},
	"an n-session, bare command in packet": {send: []string{"nIDSESSION\nPING\n"}, clamds: timedOut, ours: "1: Only nCMDS\\n and zCMDS\\0 are accepted inside IDSESSION. ERROR\n1: Error processing command. ERROR\n", why: "clamd waits for more"},
	"an n-session with CR":                 {send: []string{"nIDSESSION\r\nnPING\r\nnEND\r\n"}, clamds: timedOut, ours: "1: PONG\n", why: "clamd loses count of its input"},

	"five bytes": {send: []string{"zINSTREAM\x00" + chunk("11111") + endMarker}, clamds: "stream: OK\x00", ours: "stream: " + clamd.Tiny + " FOUND\x00",
		why: "clamd calls five bytes or less OK without a scan; the scanner has it scan them"},
	"a body that stalls": {send: []string{"zINSTREAM\x00" + chunk("hello")}, clamds: timedOut, ours: "stream: the upload stalled after 5 bytes ERROR\x00",
		why: "every client takes it for an error of this body"},
	"a body that stalls in a session": {send: []string{"zIDSESSION\x00zPING\x00zINSTREAM\x00" + chunk("hello")},
		clamds: "1: PONG\x00" + timedOut, ours: "1: PONG\x002: stream: the upload stalled after 5 bytes ERROR\x00", why: "it names the command"},

	"SCAN":               {send: []string{"zSCAN /nowhere\x00"}, clamds: "/nowhere: File path check failure: No such file or directory. ERROR\x00", ours: "COMMAND UNAVAILABLE\x00", why: onPurpose},
	"SCAN with n":        {send: []string{"nSCAN /nowhere\n"}, clamds: "/nowhere: File path check failure: No such file or directory. ERROR\n", ours: "COMMAND UNAVAILABLE\n", why: onPurpose},
	"bare SCAN":          {send: []string{"SCAN /nowhere\n"}, clamds: "/nowhere: File path check failure: No such file or directory. ERROR\n", ours: "COMMAND UNAVAILABLE\n", why: onPurpose},
	"CONTSCAN":           {send: []string{"zCONTSCAN /nowhere\x00"}, clamds: "/nowhere: File path check failure: No such file or directory. ERROR\x00", ours: "COMMAND UNAVAILABLE\x00", why: onPurpose},
	"MULTISCAN":          {send: []string{"zMULTISCAN /nowhere\x00"}, clamds: "/nowhere: File path check failure: No such file or directory. ERROR\x00", ours: "COMMAND UNAVAILABLE\x00", why: onPurpose},
	"ALLMATCHSCAN":       {send: []string{"zALLMATCHSCAN /nowhere\x00"}, clamds: "/nowhere: File path check failure: No such file or directory. ERROR\x00", ours: "COMMAND UNAVAILABLE\x00", why: onPurpose},
	"SCAN in a session":  {send: []string{"zIDSESSION\x00zSCAN /nowhere\x00", "zEND\x00"}, clamds: "1: /nowhere: File path check failure: No such file or directory. ERROR\x00", ours: "1: COMMAND UNAVAILABLE\x00", why: onPurpose},
	"FILDES":             {send: []string{"zFILDES\x00", "\x00"}, clamds: "No file descriptor received. ERROR\x00", ours: "COMMAND UNAVAILABLE\x00", why: onPurpose},
	"bare FILDES":        {send: []string{"FILDES\n", "\x00"}, clamds: "No file descriptor received. ERROR\n", ours: "COMMAND UNAVAILABLE\n", why: onPurpose},
	"FILDES in session":  {send: []string{"zIDSESSION\x00zFILDES\x00", "\x00"}, clamds: "1: No file descriptor received. ERROR\x00", ours: "1: COMMAND UNAVAILABLE\x00", why: onPurpose},
	"RELOAD":             {send: []string{"zRELOAD\x00"}, clamds: "RELOADING\x00", ours: "COMMAND UNAVAILABLE\x00", why: onPurpose},
	"bare RELOAD":        {send: []string{"RELOAD\n"}, clamds: "RELOADING\n", ours: "COMMAND UNAVAILABLE\n", why: onPurpose},
	"DETSTATS":           {send: []string{"zDETSTATS\x00"}, clamds: "", ours: "COMMAND UNAVAILABLE\x00", why: "clamd has removed the command and closes the connection"},
	"bare DETSTATSCLEAR": {send: []string{"DETSTATSCLEAR\n"}, clamds: "", ours: "COMMAND UNAVAILABLE\n", why: "as DETSTATS"},
}

// sizeLimit is that of both, in bytes.
const sizeLimit = 1 << 20

func oneByteChunks(data []byte) string {
	var chunks strings.Builder
	for _, b := range data {
		chunks.WriteString(chunk(string(b)))
	}
	return chunks.String()
}

func encryptedZip() string {
	data, err := corpus.EncryptedZip()
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestRepliesAreThoseOfClamd(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{Conf: map[string]string{
		"StreamMaxLength":    "1M",
		"CommandReadTimeout": "2",
		"ReadTimeout":        "2",
	}})
	server := newServer(Config{Scanner: realScanner(t, daemon), UploadIdle: 2 * time.Second})
	server.limits.command, server.limits.session = 2*time.Second, 2*time.Second
	address := serve(t, server)

	// Many wait most of the time, so they are held side by side.
	type replies struct{ clamds, ours string }
	var (
		held   sync.WaitGroup
		places = make(chan struct{}, 16)
		all    = make(map[string]*replies)
	)
	for name, c := range conversations {
		got := &replies{}
		all[name] = got
		held.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			got.clamds, got.ours = c.hold(daemon.Addr()), c.hold(address)
		})
	}
	held.Wait()
	for name, c := range conversations {
		t.Run(name, func(t *testing.T) {
			got := all[name]
			switch {
			case c.why != "":
				if !saidOrRepeated(got.clamds, c.clamds) || got.ours != c.ours {
					t.Errorf("got %q from clamd and %q from us, want %q and %q (%s)", got.clamds, got.ours, c.clamds, c.ours, c.why)
				}
			case got.ours != got.clamds:
				t.Errorf("got %q, want %q as clamd says", got.ours, got.clamds)
			}
		})
	}
}

// saidOrRepeated says whether got is want, or want again and again: clamd 1.4.3
// says twice that a path does not exist, 1.4.6 once.
func saidOrRepeated(got, want string) bool {
	return got == want || got != "" && want != "" && strings.ReplaceAll(got, want, "") == ""
}

func TestShutdownDoesNotReachClamd(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	address := serve(t, newServer(Config{Scanner: realScanner(t, daemon)}))
	for _, sent := range []string{"zSHUTDOWN\x00", "zQUIT\x00", "nSHUTDOWN\n", "SHUTDOWN", "QUIT\n"} {
		want := "COMMAND UNAVAILABLE\n"
		if sent[0] == 'z' {
			want = "COMMAND UNAVAILABLE\x00"
		}
		if got := ask(t, address, sent); got != want {
			t.Errorf("sent %q: got %q, want %q", sent, got, want)
		}
	}
	if got, want := ask(t, daemon.Addr(), "zPING\x00"), "PONG\x00"; got != want {
		t.Errorf("got %q from clamd behind them, want %q", got, want)
	}
}

// hold has the conversation with the server at address and gives all that it
// says, without what changes from one time to the next, or why it failed.
func (c conversation) hold(address string) string {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err.Error()
	}
	for i, packet := range c.send {
		if i > 0 {
			time.Sleep(200 * time.Millisecond) // so that it is a packet of its own
		}
		// A write fails when the server has closed after an earlier packet.
		if _, err := io.WriteString(conn, packet); err != nil {
			break
		}
	}
	if c.half {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err.Error()
		}
	}
	got, err := io.ReadAll(conn)
	reply := stats.ReplaceAllString(string(got), "N")
	if c.anyOrder {
		replies := oneReply.FindAllString(reply, -1)
		slices.Sort(replies)
		reply = strings.Join(replies, "")
	}
	if err != nil {
		reply += err.Error()
	}
	return reply
}

// oneReply matches what ends as replies do.
var oneReply = regexp.MustCompile(`[^\x00\n]*[\x00\n]`)

// stats are the figures in a reply to STATS, and the list of what each thread
// does.
var stats = regexp.MustCompile(`\d+ items.*\n(\t.*\n)*|live \d+  idle \d+|[\d.]+M`)

// realScanner is a scanner with daemon behind it, until the test ends.
func realScanner(t *testing.T, daemons ...*clamd.Daemon) *scan.Scanner {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "clamd.conf")
	if err := clamd.WriteClientConf(conf, nil, daemons...); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	pool, err := upstream.New(upstream.Config{
		ClamdConf:     conf,
		MaxConcurrent: 16,
		Queue:         128,
		QueueTimeout:  patience,
		ScanTimeout:   patience,
		Log:           log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("got %v from the pool, want nil", err)
		}
	})
	await(t, "a replica is healthy", pool.Ready)
	return scan.New(scan.Config{MaxFileSize: sizeLimit, ReplayMemory: 8 << 20, Log: log}, pool)
}

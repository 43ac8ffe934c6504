package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"clamav-sidecar/webhook/clientconfig/render"
	"clamav-sidecar/webhook/inject"
)

// least is the shortest good file.
const least = `
clamd: {host: clamav.clamav-system.svc}
sidecar: {image: registry.example/clamav-sidecar:1.0}
`

const everything = `
# The clamav service.
clamd:
  host: 10.0.0.7
  port: 4410
  maxFileSize: 200M
configMap:
  name: clamd
  manage: false
sidecar:
  image: registry.example/clamav-sidecar:1.0
  image-pull-policy: Always
  mode: native
  clamdscan: local
  max-file-size: 52428800
  scan-timeout: 30s
  log-level: debug
  require-scanner: True
  http-port: 4411
  clamd-port: "4412"
  ops-port: 4413
  cpu-request: 0.05
  cpu-limit: 2
  memory-request: 64Mi
  memory-limit: 256Mi
`

// leastFile is what it says.
func leastFile() File {
	sidecar := inject.DefaultSettings()
	sidecar.Image = "registry.example/clamav-sidecar:1.0"
	return File{Sidecar: sidecar, Client: render.Settings{
		Name: "clamav-configuration", Manage: true,
		Host: "clamav.clamav-system.svc", Port: 3310, MaxFileSize: 100 << 20, LocalPort: 3310,
	}}
}

func leastWith(change func(*File)) File {
	file := leastFile()
	change(&file)
	return file
}

func TestParseGivesWhatTheFileSays(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want File
	}{
		"defaults fill what is not set": {least, leastFile()},
		"null is as if not set":         {least + "configMap: {name: null, manage: ~}\n", leastFile()},
		"JSON is YAML":                  {`{"clamd":{"host":"clamav.clamav-system.svc"},"sidecar":{"image":"registry.example/clamav-sidecar:1.0"}}`, leastFile()},
		"everything is set": {everything, File{
			Client: render.Settings{Name: "clamd", Host: "10.0.0.7", Port: 4410, MaxFileSize: 200 << 20, LocalPort: 4412},
			Sidecar: inject.Settings{
				Image: "registry.example/clamav-sidecar:1.0", ImagePullPolicy: "Always", Mode: inject.Native, Clamdscan: inject.ToSidecar,
				MaxFileSize: 50 << 20, ScanTimeout: 30 * time.Second, LogLevel: "debug", RequireScanner: true, ConfigMap: "clamd",
				HTTPPort: 4411, ClamdPort: 4412, OpsPort: 4413,
				CPURequest: resource.MustParse("50m"), CPULimit: resource.MustParse("2"),
				MemoryRequest: resource.MustParse("64Mi"), MemoryLimit: resource.MustParse("256Mi"),
			},
		}},
		"the sidecar takes files as large as the service does": {
			strings.Replace(least, "svc}", "svc, maxFileSize: 25M}", 1),
			leastWith(func(f *File) { f.Client.MaxFileSize, f.Sidecar.MaxFileSize = 25<<20, 25<<20 })},
		"the sidecar's clamd port is the one in the clients' file": {
			strings.Replace(least, "1.0}", "1.0, clamd-port: 0}", 1),
			leastWith(func(f *File) { f.Client.LocalPort, f.Sidecar.ClamdPort = 0, 0 })},
		"a host name may end in a dot": {
			strings.Replace(least, "svc}", "svc.cluster.local.}", 1),
			leastWith(func(f *File) { f.Client.Host = "clamav.clamav-system.svc.cluster.local." })},
		"an IPv6 address is a host": {
			strings.Replace(least, "clamav.clamav-system.svc", `"fd00::7"`, 1),
			leastWith(func(f *File) { f.Client.Host = "fd00::7" })},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseNamesEveryFault(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string // one a line: its beginning, "|", and a part of the rest
	}{
		"nothing":        {"", []string{"clamd.host: Required|such as clamav.", "sidecar.image: Required|"}},
		"a comment only": {"# later\n", []string{"clamd.host: Required|", "sidecar.image: Required|"}},
		"everything at once": {`
clmad: {}
clamd: {host: "clamav:3310", port: 70000, maxFileSize: 2G, prot: 1}
configMap: {name: Clamd, manage: "yes"}
sidecar: {image: 7, http-port: 80, max-file-sise: 1M, config-map: clamd, mode: fast}
`, []string{
			`clamd.host: Invalid value: "clamav:3310"|the port is a key of its own`,
			`clamd.maxFileSize: Invalid value: "2G"|from 1 to 2047M`,
			`clamd.port: Invalid value: "70000"|from 1 to 65535`,
			`clamd.prot: Forbidden|did you mean port?`,
			`clmad: Forbidden|did you mean clamd?`,
			`configMap.manage: Invalid value: "yes"|want true or false`,
			`configMap.name: Invalid value: "Clamd"|the name of a ConfigMap`,
			`sidecar.config-map: Forbidden|configMap.name`,
			`sidecar.http-port: Invalid value: "80"|from 1024`,
			`sidecar.max-file-sise: Invalid value: "1M"|did you mean max-file-size?`,
			`sidecar.mode: Invalid value: "fast"|"native"`,
		}},
		"a section that is no mapping": {least + "configMap: clamd\n", []string{`configMap: Invalid value: "clamd"|want keys and values`}},
		"a file that is no mapping": {"- clamd\n", []string{
			"clamd.host: Required|", "sidecar.image: Required|", `the file: Invalid value: "a list"|want keys and values`}},
		"a value that is a mapping": {strings.Replace(least, "1.0}", "1.0, mode: {a: b}}", 1),
			[]string{`sidecar.mode: Invalid value: "keys and values"|want a string`}},
		"a port that is a string": {strings.Replace(least, "svc}", `svc, port: "3310"}`, 1),
			[]string{`clamd.port: Invalid value: "3310"|want a number`}},
		"a truth that is none":         {least + "configMap: {manage: !!bool maybe}\n", []string{`configMap.manage: Invalid value: "maybe"|want true or false`}},
		"an unknown key like no other": {least + "verbose: true\n", []string{"verbose: Forbidden|want one of clamd, configMap, sidecar"}},
		"a key that stands twice":      {least + "configMap: {}\nconfigMap: {}\n", []string{"configMap: Forbidden|on line 4 and again on line 5"}},
		"a key in a section that stands twice": {strings.Replace(least, "1.0}", "1.0, mode: auto, mode: native}", 1),
			[]string{"sidecar.mode: Forbidden|on line 3 and again on line 3"}},
		"a key that is a list": {least + "? [a]\n: b\n", []string{`the file: Invalid value: "a list"|a name as the key on line 4`}},
		"an alias": {strings.Replace(least, "1.0}", "1.0, mode: &m auto, clamdscan: *m}", 1),
			[]string{`sidecar.clamdscan: Invalid value: "an alias, which is not supported"|`}},
		"a host with a space":    {strings.Replace(least, "clamav.clamav-system.svc", "a b", 1), []string{`clamd.host: Invalid value: "a b"|`}},
		"two hosts":              {strings.Replace(least, "clamav.clamav-system.svc", "[a, b]", 1), []string{`clamd.host: Invalid value: "a list"|want a string`}},
		"an address with a zone": {strings.Replace(least, "clamav.clamav-system.svc", `"fe80::1%eth0"`, 1), []string{`clamd.host: Invalid value: "fe80::1%eth0"|`}},
		"an image that is missing among bad ones": {"clamd: {host: a}\nsidecar: {mode: fast}\n",
			[]string{"sidecar.image: Required|", `sidecar.mode: Invalid value: "fast"|`}},
		"values that do not go together": {strings.Replace(least, "1.0}", "1.0, clamdscan: local, clamd-port: 0, http-port: 3312}", 1),
			[]string{`sidecar.clamdscan: Invalid value: "local"|clamd-port`, "sidecar.ops-port: Invalid value: 3312|http-port"}},
		"a sidecar that takes more than the service": {strings.Replace(least, "1.0}", "1.0, max-file-size: 101M}", 1),
			[]string{`sidecar.max-file-size: Invalid value: "101M"|clamd.maxFileSize, which is 100M`}},
		"no YAML":                           {"clamd: {host: a\n", []string{"it is no YAML: |line "}},
		"a second document":                 {least + "---\n" + least, []string{"line 4: a second document|"}},
		"a second document that is no YAML": {least + "---\n{", []string{"it is no YAML: |"}},
		"more than a file may have":         {least + strings.Repeat("#", maxSize), []string{"it is larger than 65536 bytes|"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(test.text))
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("got %d faults, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				begin, part, _ := strings.Cut(want, "|")
				if !strings.HasPrefix(lines[i], begin) || !strings.Contains(lines[i], part) {
					t.Errorf("got fault %q, want %q and %q in it", lines[i], begin, part)
				}
			}
		})
	}
}

func TestFaultsAreFieldErrors(t *testing.T) {
	_, err := Parse(nil)
	var fault *field.Error
	if !errors.As(err, &fault) || fault.Field != "clamd.host" || fault.Type != field.ErrorTypeRequired {
		t.Errorf("got %#v, want the required clamd.host", fault)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one that %s does not exist", err, path)
	}
	write(t, path, "clamd: {}\n")
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), "bad configuration "+path+":\nclamd.host: Required") {
		t.Errorf("got error %v, want the faults of %s", err, path)
	}
	write(t, path, least)
	got, err := Load(path)
	if want := leastFile(); err != nil || !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	write(t, path, least+strings.Repeat("#", 1<<20))
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got error %v, want one that it is too large", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What Parse accepts is fit for use, and what it refuses it explains.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", least, everything, "clamd: {host: a}\n---\n", "a: &a [*a]\n", "? [a]\n: b\n", "<<: {clamd: 1}\n",
		"sidecar: {\"a\\nb\": 1}\n", "clamd: !!map x\n", "clamd: {port: 0x10, maxFileSize: 1e3}\n", "- - - - -\n", "\xff\xfe", "%YAML 1.2\n---\n{}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse(text)
		if err != nil {
			if !equality.Semantic.DeepEqual(file, File{}) {
				t.Errorf("got %+v together with error %v", file, err)
			}
			var fault *field.Error
			if errors.As(err, &fault) {
				for line := range strings.Lines(err.Error()) {
					if !strings.Contains(line, ": ") {
						t.Errorf("got fault %q, want a path and what is wrong", line)
					}
				}
			}
			return
		}
		client, sidecar := file.Client, file.Sidecar
		if faults := sidecar.Validate(func(name string) *field.Path { return field.NewPath(name) }); len(faults) > 0 {
			t.Errorf("accepted a sidecar with the faults %v", faults)
		}
		if !isHost(client.Host) || client.Port < 1 || client.Port > 65535 || client.MaxFileSize < 1 || client.MaxFileSize > maxFileSize {
			t.Errorf("accepted %+v", client)
		}
		if client.Name == "" || client.Name != sidecar.ConfigMap || client.LocalPort != int(sidecar.ClamdPort) || sidecar.MaxFileSize > client.MaxFileSize {
			t.Errorf("accepted %+v with %+v, which do not go together", client, sidecar)
		}
	})
}

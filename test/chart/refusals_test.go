package chart

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// refusal is a fault in the values: assignments of JSON, and words of the message.
type refusal struct {
	sets  []string
	wants []string
}

func TestBadValuesAreRefusedByName(t *testing.T) {
	for name, test := range map[string]refusal{
		"uploads larger than what is scanned": {
			[]string{"clamav.limits.fileSize=401"},
			[]string{"clamav.limits.fileSize (401M)", "clamav.limits.scanSize (400M)", "uploads that it does not scan", "raise scanSize"}},
		"files larger than ClamAV can scan": {
			[]string{"clamav.limits.scanSize=2048"}, []string{"clamav", "limits", "scanSize", "2,047"}},
		"a limit with a unit":             {[]string{`clamav.limits.fileSize="100M"`}, []string{"clamav", "limits", "fileSize", "got string, want integer"}},
		"checks between which pass hours": {[]string{`clamav.freshclamCheck=51`}, []string{"freshclamCheck", "maximum", "50"}},

		"an unknown value":                {[]string{"clmav.enabled=true"}, []string{"clmav"}},
		"an unknown value of clamav":      {[]string{"clamav.replicas=3"}, []string{"clamav", "replicas"}},
		"an unknown limit":                {[]string{"clamav.limits.streamMaxLength=3"}, []string{"limits", "streamMaxLength"}},
		"an unknown value of the sidecar": {[]string{`sidecar.annotations={}`}, []string{"sidecar", "annotations"}},
		"a sidecar without a limit":       {[]string{`sidecar.resources.limits.cpu=null`}, []string{"sidecar", "resources", "limits", "cpu"}},
		"a mode that there is not":        {[]string{`clamav.persistence.mode="perNode"`}, []string{"persistence", "mode", "perReplica"}},

		"an extra line for what the chart sets": {
			[]string{`clamav.extraConfig="StreamMaxLength 4G"`}, []string{"clamav.extraConfig: StreamMaxLength", "set by the chart", "take the line out"}},
		"the same in another case, behind a tab": {
			[]string{`clamav.extraConfig="MaxScanTime 1\n \talertExceedsMAX\tno"`}, []string{"clamav.extraConfig: alertExceedsMAX", "take the line out"}},
		"lines that end as in Windows": {
			[]string{`clamav.extraConfig="MaxScanTime 1\r\nMaxFileSize 1\r\n"`}, []string{"clamav.extraConfig", "line feeds alone"}},
		"an extra line that nobody can reach": {
			[]string{`clamav.extraConfig="LocalSocket /tmp/clamd"`}, []string{"clamav.extraConfig: LocalSocket cannot be set"}},
		"an extra line with the word that stops clamd": {
			[]string{`clamav.extraConfig="Example"`}, []string{"clamav.extraConfig: Example cannot be set"}},
		"an extra line of freshclam's for what the chart sets": {
			[]string{`clamav.extraFreshclamConfig="checks 1"`}, []string{"clamav.extraFreshclamConfig: checks", "set by the chart"}},
		"another directory of signatures": {
			[]string{`clamav.extraFreshclamConfig="DatabaseDirectory /tmp"`}, []string{"clamav.extraFreshclamConfig: DatabaseDirectory"}},

		"more replicas on the one node of the volume": {
			[]string{"clamav.autoscaling.enabled=true"}, []string{"clamav.autoscaling.enabled", "set clamav.persistence.mode to perReplica or emptyDir"}},
		"fewest replicas above most": {
			[]string{"clamav.autoscaling.minReplicas=7"}, []string{"clamav.autoscaling.minReplicas (7)", "clamav.autoscaling.maxReplicas (6)"}},
		"two databases with one file name": {
			[]string{`clamav.customDatabaseURLs=["https://a.example/x.ndb","https://b.example/x.ndb"]`},
			[]string{"clamav.customDatabaseURLs", "https://b.example/x.ndb", "same file name"}},
		"a database with the name of an official one": {
			[]string{`clamav.customDatabaseURLs=["https://a.example/main.cvd"]`}, []string{"clamav.customDatabaseURLs", "same file name"}},
		"a database that clamd does not load": {
			[]string{`clamav.customDatabaseURLs=["https://a.example/x.txt"]`}, []string{"clamav.customDatabaseURLs", "by its ending"}},
		"a password in a URL": {
			[]string{`clamav.customDatabaseURLs=["https://me:secret@a.example/x.ndb"]`}, []string{"clamav.customDatabaseURLs", "without a password"}},
		"a ConfigMap for clients in the place of another one": {
			[]string{`webhook.configMap.name="clamav-server-configuration"`}, []string{"webhook.configMap.name", "another ConfigMap"}},
		"a claim that is not shared": {
			[]string{`clamav.persistence.existingClaim="ours"`, `clamav.persistence.mode="perReplica"`},
			[]string{"clamav.persistence.existingClaim", "shared", "perReplica"}},
		"no signatures": {
			[]string{"clamav.officialDatabases=[]"}, []string{"clamav.officialDatabases", "clamav.customDatabaseURLs", "without signatures"}},
		"a database that there is not": {
			[]string{`clamav.officialDatabases=["weekly"]`}, []string{"officialDatabases", "main", "bytecode"}},
		"nothing at all": {
			[]string{"clamav.enabled=false", "webhook.enabled=false"}, []string{"clamav.enabled", "webhook.enabled", "nothing"}},
		"a clamd elsewhere that has no name": {
			[]string{"clamav.enabled=false"}, []string{"clamav.external.host", "name the clamd to use", "clamav.enabled=true"}},
		"a host with its port": {
			[]string{"clamav.enabled=false", `clamav.external.host="clamd:3310/x"`}, []string{"clamav.external.host", "one host name"}},

		"a mirror by FTP":                 {[]string{`clamav.mirror="ftp://mirror.example"`}, []string{"clamav.mirror", "ftp://mirror.example", "https://mirror.example/clamav"}},
		"a second mirror with a space":    {[]string{`clamav.mirror=["a.example","b .example"]`}, []string{"clamav.mirror", `"b .example"`}},
		"a database without a name":       {[]string{`clamav.customDatabaseURLs=["https://mirror.example/"]`}, []string{"clamav.customDatabaseURLs", "https://mirror.example/ours.ndb"}},
		"a database by FTP":               {[]string{`clamav.customDatabaseURLs=["ftp://mirror.example/a.ndb"]`}, []string{"clamav.customDatabaseURLs", "http, https or file"}},
		"an image with a space":           {[]string{`sidecar.image="a b"`}, []string{"sidecar.image", `"a b"`, "registry.example/team/image:1.0"}},
		"an image with a wrong digest":    {[]string{`webhook.image="a@sha256:12"`}, []string{"webhook.image", "@sha256:"}},
		"a size in words":                 {[]string{`clamav.persistence.size="five"`}, []string{"clamav.persistence.size", `"five"`, "5Gi"}},
		"no size":                         {[]string{`clamav.temporaryDirectorySize=""`}, []string{"clamav.temporaryDirectorySize", "30Gi"}},
		"a ConfigMap in capitals":         {[]string{`webhook.configMap.name="Clamd"`}, []string{"webhook.configMap.name", `"Clamd"`}},
		"a duration without a unit":       {[]string{`sidecar.scanTimeout="30"`}, []string{"sidecar.scanTimeout", `"30"`, "30s"}},
		"a port that needs root":          {[]string{"sidecar.httpPort=80"}, []string{"httpPort", "1,024"}},
		"a clamd port that needs root":    {[]string{"sidecar.clamdPort=80"}, []string{"sidecar.clamdPort", "80", "1024", "0 for none"}},
		"a label that is no text":         {[]string{`clamav.nodeSelector={"a":true}`}, []string{"nodeSelector", "want string"}},
		"a peer that says nothing":        {[]string{`networkPolicy.from=[{}]`}, []string{"networkPolicy", "from"}},
		"an interval that is no duration": {[]string{`monitoring.podMonitor.interval="often"`}, []string{"interval"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, h := range shared.helms {
				args := []string{"template", releaseName, directory, "--namespace", home}
				for _, set := range test.sets {
					args = append(args, "--set-json", set)
				}
				_, message, err := h.try(args...)
				if err == nil {
					t.Errorf("%s takes it", h.name)
				}
				for _, want := range test.wants {
					if !strings.Contains(message, want) {
						t.Errorf("%s: want %q in\n%s", h.name, want, message)
					}
				}
			}
		})
	}
}

// What webhook/config refuses would stop the webhook's new pods.
func TestSettingsThatTheWebhookWouldRefuseAreRefusedByName(t *testing.T) {
	for name, test := range map[string]refusal{
		"a sidecar that takes more than clamd": {[]string{`sidecar.maxFileSize="101M"`}, []string{"sidecar.maxFileSize", "101M", "100M"}},
		"two endpoints on one port":            {[]string{"sidecar.httpPort=3312"}, []string{"sidecar.httpPort", "3312", "sidecar.opsPort"}},
		"clamdscan sent to no port":            {[]string{"sidecar.clamdPort=0", `sidecar.clamdscan="local"`}, []string{"sidecar.clamdscan", "sidecar.clamdPort"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"template", releaseName, directory, "--namespace", home}
			for _, set := range test.sets {
				args = append(args, "--set-json", set)
			}
			_, message, err := shared.helms[0].try(args...)
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range test.wants {
				if !strings.Contains(message, want) {
					t.Errorf("want %q in\n%s", want, message)
				}
			}
		})
	}
}

// smuggled would be an option of clamd.conf and a key of YAML.
const smuggled = "Smuggled: yes"

var smuggledLine = regexp.MustCompile(`(?:^|[\n\r\x{2028}])\s*` + smuggled)

// No value can add a line to what stands around it, with whatever YAML or ClamAV
// take for the end of a line, indented as data of a ConfigMap; but for the two values that are lines themselves,
// which cannot leave their file.
func TestNoValueAddsALine(t *testing.T) {
	for path, use := range uses {
		var value any
		if err := json.Unmarshal([]byte(use.value), &value); err != nil {
			t.Fatal(err)
		}
		for name, end := range map[string]string{"line feed": "\n", "line separator": "\u2028  "} {
			spoilt, texts := spoil(value, end+smuggled)
			if texts == 0 {
				continue
			}
			t.Run(path+" with a "+name, func(t *testing.T) {
				t.Parallel()
				setup := use.setup
				if setup == "" {
					setup = "default"
				}
				text, err := json.Marshal(spoilt)
				if err != nil {
					t.Fatal(err)
				}
				stdout, _, err := shared.helms[0].try("template", releaseName, directory, "--namespace", home, "-f", valuesOf(setup), "--set-json", path+"="+string(text))
				if err != nil {
					return // refused
				}
				lines := path == "clamav.extraConfig" || path == "clamav.extraFreshclamConfig"
				for key, object := range parse(t, stdout) {
					if found := smuggledIn(object.Object, lines); found != "" {
						t.Errorf("%s got one into %s, %s", text, key, found)
					}
				}
			})
		}
	}
}

// spoil adds the text to every text of a value, and counts them.
func spoil(value any, text string) (spoilt any, texts int) {
	switch value := value.(type) {
	case string:
		return value + text, 1
	case []any:
		all := slices.Clone(value)
		for i := range all {
			var n int
			all[i], n = spoil(all[i], text)
			texts += n
		}
		return all, texts
	case map[string]any:
		all := maps.Clone(value)
		for key := range all {
			var n int
			all[key], n = spoil(all[key], text)
			texts += n
		}
		return all, texts
	}
	return value, 0
}

// smuggledIn says where in an object the smuggled text stands as a key, or as a
// line of a file. The files of values that are lines themselves may have it.
func smuggledIn(value any, lines bool) string {
	switch value := value.(type) {
	case map[string]any:
		for key, part := range value {
			if strings.Contains(key, "Smuggled") {
				return "a key"
			}
			file, _ := part.(string)
			if configuration := strings.HasSuffix(key, ".conf") && !lines || strings.HasSuffix(key, ".yaml"); configuration && smuggledLine.MatchString(file) {
				return key
			}
			if found := smuggledIn(part, lines); found != "" {
				return key + "." + found
			}
		}
	case []any:
		for _, part := range value {
			if found := smuggledIn(part, lines); found != "" {
				return found
			}
		}
	}
	return ""
}

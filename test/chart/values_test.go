package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// leaf is a value of values.yaml that is documented by itself: a scalar, a list,
// or a mapping whose keys are the user's or are those of Kubernetes.
type leaf struct {
	comment string
	value   any // the default
}

// properties is a part of values.schema.json.
type properties struct {
	Ref                  string `json:"$ref"`
	AdditionalProperties any
	Properties           map[string]properties
}

func readSchema(t *testing.T) properties {
	t.Helper()
	var root properties
	if err := json.Unmarshal([]byte(read(t, filepath.Join(directory, "values.schema.json"))), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// leaves gives those of values.yaml by their paths.
func leaves(t *testing.T) map[string]leaf {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(directory, "values.yaml"))), &root); err != nil {
		t.Fatal(err)
	}
	found := map[string]leaf{}
	collect(t, root.Content[0], readSchema(t), "", found)
	return found
}

// collect adds the leaves of a mapping. On the way it wants the schema to have
// just the keys that values.yaml has.
func collect(t *testing.T, node *yaml.Node, s properties, path string, found map[string]leaf) {
	t.Helper()
	var keys []string
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		keys = append(keys, key.Value)
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		if part := s.Properties[key.Value]; value.Kind == yaml.MappingNode && len(value.Content) > 0 && part.Ref == "" {
			collect(t, value, part, at, found)
			continue
		}
		l := leaf{comment: key.HeadComment}
		if err := value.Decode(&l.value); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		found[at] = l
	}
	known := maps.Clone(s.Properties)
	if path == "" {
		delete(known, "global") // Helm has it in every chart
	}
	slices.Sort(keys)
	if want := slices.Sorted(maps.Keys(known)); !slices.Equal(keys, want) {
		t.Errorf("values.yaml has %q under %q, the schema %q", keys, path, want)
	}
	if s.AdditionalProperties != false {
		t.Errorf("the schema takes any key under %q", path)
	}
}

func TestEveryValueIsInTheSchemaAndDocumented(t *testing.T) {
	for path, l := range leaves(t) {
		// helm-docs takes such comments for the table of the README.
		if text, is := strings.CutPrefix(l.comment, "# -- "); !is || !strings.HasSuffix(text, ".") {
			t.Errorf("%s: the comment above it is %q, want a sentence after -- ", path, l.comment)
		}
	}
}

// The set-up everything is to show each value.
func TestTheSetUpEverythingChangesEachValue(t *testing.T) {
	var root any
	if err := yaml.Unmarshal([]byte(read(t, valuesOf("everything"))), &root); err != nil {
		t.Fatal(err)
	}
	same := []string{"clamav.enabled", "webhook.enabled", "networkPolicy.enabled", // without them others do nothing
		"clamav.persistence.existingClaim"} // is for mode shared
	for path, l := range leaves(t) {
		value := root
		for key := range strings.SplitSeq(path, ".") {
			within, _ := value.(map[string]any)
			value = within[key]
		}
		changed := value != nil && fmt.Sprint(value) != fmt.Sprint(l.value)
		if want := !slices.Contains(same, path); changed != want {
			t.Errorf("%s: got %v, the default is %v", path, value, l.value)
		}
	}
}

// use is a value, as JSON, and what it has the rendering say that was not in it
// before. The set-up is one in which it matters; none: the default.
type use struct{ value, shows, setup string }

var uses = map[string]use{
	"imagePullSecrets": {value: `[{"name":"registry"}]`, shows: "imagePullSecrets:\n        - name: registry"},

	"clamav.enabled":                                    {value: `true`, shows: "name: clamav-server-configuration", setup: "external-clamd"},
	"clamav.external.host":                              {value: `"other.example"`, shows: "TCPAddr other.example\n", setup: "external-clamd"},
	"clamav.external.port":                              {value: `5555`, shows: "TCPSocket 5555\n", setup: "external-clamd"},
	"clamav.image":                                      {value: `"registry.example/clamav"`, shows: `image: "registry.example/clamav:`},
	"clamav.imagePullPolicy":                            {value: `"Always"`, shows: "imagePullPolicy: Always"},
	"clamav.runAsUser":                                  {value: `100`, shows: "fsGroup: 100\n"},
	"clamav.replicaCount":                               {value: `7`, shows: "replicas: 7\n"},
	"clamav.autoscaling.enabled":                        {value: `true`, shows: "kind: HorizontalPodAutoscaler", setup: "empty-dir"},
	"clamav.autoscaling.minReplicas":                    {value: `4`, shows: "minReplicas: 4\n", setup: "per-replica"},
	"clamav.autoscaling.maxReplicas":                    {value: `8`, shows: "maxReplicas: 8\n", setup: "per-replica"},
	"clamav.autoscaling.targetCPUUtilizationPercentage": {value: `42`, shows: "averageUtilization: 42", setup: "per-replica"},
	"clamav.freshclamCheck":                             {value: `50`, shows: "Checks 50\n"},
	"clamav.mirror":                                     {value: `"mirror.example"`, shows: "PrivateMirror https://mirror.example\n"},
	"clamav.officialDatabases":                          {value: `["main","daily"]`, shows: "ExcludeDatabase bytecode\n"},
	"clamav.customDatabaseURLs":                         {value: `["https://a.example/b.ndb"]`, shows: "DatabaseCustomURL https://a.example/b.ndb\n"},
	"clamav.selfCheck":                                  {value: `60`, shows: "SelfCheck 60\n"},
	"clamav.limits.scanSize":                            {value: `999`, shows: "MaxFileSize 999M\n"},
	"clamav.limits.fileSize":                            {value: `123`, shows: "StreamMaxLength 123M\n"},
	"clamav.limits.connectionQueueLength":               {value: `321`, shows: "MaxConnectionQueueLength 321\n"},
	"clamav.limits.maxThreads":                          {value: `17`, shows: "MaxThreads 17\n"},
	"clamav.limits.queue":                               {value: `333`, shows: "MaxQueue 333\n"},
	"clamav.alertUnreadable":                            {value: `true`, shows: "unscannable.cdb: |", setup: "everything"},
	"clamav.limits.sendBufTimeout":                      {value: `1234`, shows: "SendBufTimeout 1234\n"},
	"clamav.extraConfig":                                {value: `"MaxScanTime 1000"`, shows: "MaxScanTime 1000\n"},
	"clamav.extraFreshclamConfig":                       {value: `"HTTPProxyPort 3128"`, shows: "HTTPProxyPort 3128\n"},
	"clamav.resources":                                  {value: `{"limits":{"memory":"7Gi"}}`, shows: "memory: 7Gi\n"},
	"clamav.freshclamResources":                         {value: `{"limits":{"memory":"5Gi"}}`, shows: "memory: 5Gi\n"},
	"clamav.temporaryDirectorySize":                     {value: `"11Gi"`, shows: "sizeLimit: 11Gi"},
	"clamav.persistence.mode":                           {value: `"emptyDir"`, shows: "sizeLimit: 5Gi"},
	"clamav.persistence.accessMode":                     {value: `"ReadWriteMany"`, shows: "accessModes: [ReadWriteMany]"},
	"clamav.persistence.storageClass":                   {value: `"quick"`, shows: `storageClassName: "quick"`},
	"clamav.persistence.size":                           {value: `"9Gi"`, shows: "storage: 9Gi"},
	"clamav.persistence.existingClaim":                  {value: `"ours"`, shows: `persistentVolumeClaim: {claimName: "ours"}`},
	"clamav.terminationGracePeriodSeconds":              {value: `100`, shows: "terminationGracePeriodSeconds: 100\n"},
	"clamav.podAnnotations":                             {value: `{"a.example/b":"c"}`, shows: "a.example/b: c\n"},
	"clamav.nodeSelector":                               {value: `{"a.example/b":"c"}`, shows: "nodeSelector:\n        a.example/b: c\n"},
	"clamav.tolerations":                                {value: `[{"operator":"Exists"}]`, shows: "tolerations:\n        - operator: Exists\n"},
	"clamav.priorityClassName":                          {value: `"important"`, shows: `priorityClassName: "important"`},

	"sidecar.image":           {value: `"registry.example/sidecar"`, shows: `      image: "registry.example/sidecar:`},
	"sidecar.imagePullPolicy": {value: `"Never"`, shows: "image-pull-policy: Never\n"},
	"sidecar.mode":            {value: `"native"`, shows: "mode: native\n"},
	"sidecar.clamdscan":       {value: `"local"`, shows: "clamdscan: local\n"},
	"sidecar.maxFileSize":     {value: `"50M"`, shows: `max-file-size: "50M"`},
	"sidecar.scanTimeout":     {value: `"30s"`, shows: `scan-timeout: "30s"`},
	"sidecar.logLevel":        {value: `"warn"`, shows: "log-level: warn\n"},
	"sidecar.requireScanner":  {value: `true`, shows: "require-scanner: true\n"},
	"sidecar.httpPort":        {value: `4311`, shows: "http-port: 4311\n"},
	"sidecar.clamdPort":       {value: `4310`, shows: "clamd-port: 4310\n"},
	"sidecar.opsPort":         {value: `4312`, shows: "ops-port: 4312\n"},
	"sidecar.resources": {value: `{"requests":{"cpu":"11m","memory":"33Mi"},"limits":{"cpu":"3","memory":"129Mi"}}`,
		shows: "cpu-request: \"11m\"\n      cpu-limit: \"3\"\n      memory-request: \"33Mi\"\n      memory-limit: \"129Mi\"\n"},

	"webhook.enabled":               {value: `true`, shows: "kind: MutatingWebhookConfiguration", setup: "clamd-only"},
	"webhook.image":                 {value: `"registry.example/webhook:1"`, shows: `image: "registry.example/webhook:1"`},
	"webhook.imagePullPolicy":       {value: `"Always"`, shows: "imagePullPolicy: Always\n"},
	"webhook.replicaCount":          {value: `5`, shows: "replicas: 5\n"},
	"webhook.logLevel":              {value: `"debug"`, shows: "--log-level=debug\n"},
	"webhook.configMap.name":        {value: `"clients"`, shows: "configMap: {name: \"clients\"}\n"},
	"webhook.configMap.manage":      {value: `false`, shows: "manage: false\n"},
	"webhook.certManager.enabled":   {value: `true`, shows: "cert-manager.io/inject-ca-from: clamav-system/clamav-sidecar-webhook"},
	"webhook.certManager.issuerRef": {value: `{"name":"ours","kind":"ClusterIssuer"}`, shows: "name: ours\n", setup: "cert-manager"},
	"webhook.resources":             {value: `{"limits":{"memory":"99Mi"}}`, shows: "memory: 99Mi\n"},
	"webhook.podAnnotations":        {value: `{"a.example/b":"c"}`, shows: "a.example/b: c\n"},
	"webhook.nodeSelector":          {value: `{"a.example/b":"c"}`, shows: "nodeSelector:\n        a.example/b: c\n"},
	"webhook.tolerations":           {value: `[{"operator":"Exists"}]`, shows: "tolerations:\n        - operator: Exists\n"},
	"webhook.priorityClassName":     {value: `"important"`, shows: `priorityClassName: "important"`},

	"networkPolicy.enabled":     {value: `true`, shows: "kind: NetworkPolicy", setup: "external-clamd"},
	"networkPolicy.from":        {value: `[{"ipBlock":{"cidr":"10.1.0.0/16"}}]`, shows: "cidr: 10.1.0.0/16\n"},
	"networkPolicy.metricsFrom": {value: `[{"ipBlock":{"cidr":"10.2.0.0/16"}}]`, shows: "cidr: 10.2.0.0/16\n"},

	"monitoring.podMonitor.enabled":     {value: `true`, shows: "kind: PodMonitor"},
	"monitoring.podMonitor.labels":      {value: `{"a":"b"}`, shows: "    a: b\n", setup: "monitoring"},
	"monitoring.podMonitor.interval":    {value: `"17s"`, shows: `interval: "17s"`, setup: "monitoring"},
	"monitoring.prometheusRule.enabled": {value: `true`, shows: "kind: PrometheusRule"},
	"monitoring.prometheusRule.labels":  {value: `{"a":"b"}`, shows: "    a: b\n", setup: "monitoring"},
	"monitoring.dashboard.enabled":      {value: `true`, shows: "name: clamav-sidecar-dashboard"},
	"monitoring.dashboard.labels":       {value: `{"a":"b"}`, shows: "    a: b\n", setup: "monitoring"},
}

func TestEveryValueIsUsed(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(uses)), slices.Sorted(maps.Keys(leaves(t))); !slices.Equal(got, want) {
		t.Fatalf("the test has uses of %q, values.yaml has %q", got, want)
	}
	for path, use := range uses {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			setup := use.setup
			if setup == "" {
				setup = "default"
			}
			if strings.Contains(rendering(t, setup), use.shows) {
				t.Errorf("%q is in %s without the value", use.shows, setup)
			}
			if got := shared.helms[0].template(t, "-f", valuesOf(setup), "--set-json", path+"="+use.value); !strings.Contains(got, use.shows) {
				t.Errorf("with %s the rendering does not say %q", use.value, use.shows)
			}
		})
	}
}

func TestImagePullSecretsAreInEveryPod(t *testing.T) {
	for _, setup := range []string{"default", "per-replica"} {
		objects := parse(t, shared.helms[0].template(t, "-f", valuesOf(setup), "--set-json", `imagePullSecrets=[{"name":"registry"}]`))
		for workload, template := range templates(t, objects) {
			if got := template.Spec.ImagePullSecrets; len(got) != 1 || got[0].Name != "registry" {
				t.Errorf("%s, %s: got %v, want registry", setup, workload, got)
			}
		}
	}
}

// A parent chart hands its global values down to all.
func TestGlobalValuesOfAParentChartAreNoFault(t *testing.T) {
	got := shared.helms[0].template(t, "--set-json", `global={"imageRegistry":"registry.example"}`)
	if want := rendering(t, "default"); got != want {
		t.Errorf("got\n%s", firstDifference(got, want))
	}
}

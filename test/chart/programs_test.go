package chart

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	sidecaroptions "clamav-sidecar/cmd/sidecar/options"
	webhookoptions "clamav-sidecar/cmd/webhook/options"
	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/webhook"
	"clamav-sidecar/webhook/clientconfig/render"
	"clamav-sidecar/webhook/config"
	"clamav-sidecar/webhook/inject"
)

// usual is what clients and webhook are told unless values say otherwise.
func usual(change func(*config.File)) config.File {
	file := config.File{Sidecar: inject.DefaultSettings(), Client: render.Settings{
		Name: "clamav-configuration", Manage: true, Host: "clamav." + home + ".svc", Port: 3310, MaxFileSize: 100 << 20, LocalPort: 3310,
	}}
	file.Sidecar.Image, file.Sidecar.ImagePullPolicy = "localhost/clamav-sidecar/sidecar:0.1.0", corev1.PullIfNotPresent
	change(&file)
	return file
}

// unusual are the set-ups that say otherwise.
var unusual = map[string]func(*config.File){
	"external-clamd": func(f *config.File) {
		f.Client.Host, f.Client.Port, f.Client.MaxFileSize = "clamd.example.internal", 4410, 150<<20
		f.Sidecar.MaxFileSize = 150 << 20
	},
	"everything": func(f *config.File) {
		f.Client = render.Settings{Name: "clamav-clients", Host: f.Client.Host, Port: 3310, MaxFileSize: 250 << 20, LocalPort: 4310}
		f.Sidecar = inject.Settings{
			Image: "registry.example/sidecar:2.0", ImagePullPolicy: corev1.PullAlways, Mode: inject.Container, Clamdscan: inject.ToSidecar,
			MaxFileSize: 75 << 20, ScanTimeout: 90 * time.Second, LogLevel: "debug", RequireScanner: true, ConfigMap: "clamav-clients",
			HTTPPort: 4311, ClamdPort: 4310, OpsPort: 4312,
			CPURequest: resource.MustParse("20m"), CPULimit: resource.MustParse("2"),
			MemoryRequest: resource.MustParse("64Mi"), MemoryLimit: resource.MustParse("256Mi"),
		}
	},
}

// wanted is what a set-up is to tell clients and webhook.
func wanted(setup string) config.File {
	change := unusual[setup]
	if change == nil {
		change = func(*config.File) {}
	}
	return usual(change)
}

// data gives the files of a ConfigMap.
func data(t *testing.T, objects inventory, name string) map[string]string {
	t.Helper()
	return convert[corev1.ConfigMap](t, objects.get(t, "ConfigMap", name)).Data
}

func TestTheWebhookReadsInItsFileWhatTheValuesSay(t *testing.T) {
	for _, setup := range setups(t) {
		objects := rendered(t, setup)
		if setup == "clamd-only" {
			continue // has no webhook
		}
		got, err := config.Parse([]byte(data(t, objects, "clamav-sidecar-webhook")["config.yaml"]))
		if err != nil {
			t.Errorf("%s: %v", setup, err)
			continue
		}
		if want := wanted(setup); !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v, want\n%+v", setup, got, want)
		}
	}
}

func TestClientsGetWhatTheWebhookWouldGiveThem(t *testing.T) {
	for _, setup := range setups(t) {
		client := wanted(setup).Client
		if got, want := data(t, rendered(t, setup), client.Name), render.Files(client); !maps.Equal(got, want) {
			t.Errorf("%s: got\n%q, want\n%q", setup, got, want)
		}
	}
	without := parse(t, shared.helms[0].template(t, "--set", "sidecar.clamdPort=0"))
	client := usual(func(f *config.File) { f.Client.LocalPort = 0 }).Client
	if got, want := data(t, without, client.Name), render.Files(client); !maps.Equal(got, want) {
		t.Errorf("without a clamd port: got\n%q, want\n%q", got, want)
	}
}

// command is a container with what it needs to find its files and be found.
type command struct {
	corev1.Container
	spec corev1.PodSpec
}

// container gives one of a workload's pods.
func container(t *testing.T, objects inventory, workload, name string) command {
	t.Helper()
	spec := templates(t, objects)[workload].Spec
	for _, c := range spec.Containers {
		if c.Name == name {
			return command{c, spec}
		}
	}
	t.Fatalf("%s has no container %s", workload, name)
	return command{}
}

// wantPort wants the port of a listening address to have the name.
func (c command) wantPort(t *testing.T, name, listen string) {
	t.Helper()
	for _, port := range c.Ports {
		if port.Name == name {
			if got, want := fmt.Sprintf(":%d", port.ContainerPort), listen; got != want {
				t.Errorf("port %s is %s, it listens at %s", name, got, want)
			}
			return
		}
	}
	t.Errorf("no port %s", name)
}

// volume gives the volume of a directory.
func (c command) volume(t *testing.T, directory string) corev1.Volume {
	t.Helper()
	for _, mount := range c.VolumeMounts {
		i := slices.IndexFunc(c.spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if mount.MountPath == directory && i >= 0 {
			return c.spec.Volumes[i]
		}
	}
	t.Fatalf("nothing is mounted at %s", directory)
	return corev1.Volume{}
}

// file gives the text that the container sees at a path.
func (c command) file(t *testing.T, objects inventory, name string) string {
	t.Helper()
	source := c.volume(t, path.Dir(name)).ConfigMap
	if source == nil {
		t.Fatalf("%s is in no ConfigMap", name)
	}
	text, has := data(t, objects, source.Name)[path.Base(name)]
	if !has {
		t.Fatalf("the ConfigMap %s has no %s", source.Name, path.Base(name))
	}
	return text
}

func TestTheWebhookTakesItsFlagsAndFindsItsFiles(t *testing.T) {
	for _, setup := range setups(t) {
		if setup == "clamd-only" {
			continue // has no webhook
		}
		t.Run(setup, func(t *testing.T) {
			objects := rendered(t, setup)
			c := container(t, objects, "clamav-sidecar-webhook", "webhook")
			// In a cluster the service account tells the namespace.
			options, err := webhookoptions.Parse(append(c.Args, "--namespace="+home))
			if err != nil {
				t.Fatal(err)
			}
			c.file(t, objects, options.File)
			c.wantPort(t, "https", options.Listen)
			c.wantPort(t, "ops", options.OpsListen)
			objects.get(t, "Service", options.Service)
			var configurations []string
			for _, object := range objects.of("MutatingWebhookConfiguration") {
				configurations = append(configurations, object.GetName())
				for _, entry := range convert[admissionregistrationv1.MutatingWebhookConfiguration](t, object).Webhooks {
					if service := entry.ClientConfig.Service; service.Name != options.Service || service.Namespace != home {
						t.Errorf("%s is sent to %s in %s", entry.Name, service.Name, service.Namespace)
					}
				}
			}
			if !slices.Equal(configurations, options.Configurations) {
				t.Errorf("got configurations %q, the webhook keeps %q", configurations, options.Configurations)
			}
			if options.CertDir == "" {
				objects.get(t, "Secret", options.CertSecret)
				return
			}
			spec := objects.get(t, "Certificate", "clamav-sidecar-webhook").Object["spec"].(map[string]any)
			if got := c.volume(t, options.CertDir).Secret; got == nil || got.SecretName != spec["secretName"] {
				t.Errorf("the certificates are from %+v, cert-manager writes %v", got, spec["secretName"])
			}
		})
	}
}

func TestTheWebhookMayNameJustItsOwnObjects(t *testing.T) {
	options := webhook.Default()
	objects := rendered(t, "default")
	got := map[string][]string{}
	rules := slices.Concat(convert[rbacv1.ClusterRole](t, objects.get(t, "ClusterRole", "clamav-sidecar-webhook")).Rules,
		convert[rbacv1.Role](t, objects.get(t, "Role", "clamav-sidecar-webhook")).Rules)
	for _, rule := range rules {
		if len(rule.ResourceNames) > 0 {
			got[strings.Join(rule.Resources, ",")] = rule.ResourceNames
		}
	}
	want := map[string][]string{
		"configmaps":                    {"clamav-configuration"},
		"mutatingwebhookconfigurations": options.Configurations,
		"secrets":                       {options.CertSecret},
		"leases":                        {"clamav-sidecar-webhook"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// In clamd's pods the sidecar scans nothing, and watches the one clamd.
func TestTheMetricsSidecarTakesItsFlagsAndFindsItsClamd(t *testing.T) {
	for _, setup := range setups(t) {
		if setup == "external-clamd" {
			continue // has no clamd
		}
		t.Run(setup, func(t *testing.T) {
			objects := rendered(t, setup)
			c := container(t, objects, "clamav", "metrics")
			options, err := sidecaroptions.Parse(c.Args, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.wantPort(t, "clamav-ops", options.OpsListen)
			if options.ClamdListen != "" || !strings.HasPrefix(options.Listen, "127.0.0.1:") {
				t.Errorf("it listens at %q and %q", options.ClamdListen, options.Listen)
			}
			local, err := clamd.ParseConf(strings.NewReader(c.file(t, objects, options.ClamdConf)))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := local.Addrs, []string{"127.0.0.1"}; !slices.Equal(got, want) {
				t.Errorf("its clamd is at %q, want %q", got, want)
			}
			server, err := clamd.ParseConf(strings.NewReader(c.file(t, objects, "/etc/clamav/clamd.conf")))
			if err != nil {
				t.Fatal(err)
			}
			if want := wanted(setup).Client; server.StreamMaxLength != want.MaxFileSize || local.StreamMaxLength != want.MaxFileSize {
				t.Errorf("clamd takes %d, the sidecar beside it %d, clients are told %d", server.StreamMaxLength, local.StreamMaxLength, want.MaxFileSize)
			}
			container(t, objects, "clamav", "clamd").wantPort(t, "clamd", fmt.Sprintf(":%d", server.Port))
		})
	}
}

// Every selector finds pods, and the two Services' ports are those of containers.
func TestSelectorsFindPods(t *testing.T) {
	for _, setup := range setups(t) {
		objects := rendered(t, setup)
		all := templates(t, objects)
		matches := func(what string, selector map[string]string) {
			t.Helper()
			found := 0
			for _, template := range all {
				if contains(template.Labels, selector) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s: %s selects the pods of %d workloads by %v, want one", setup, what, found, selector)
			}
		}
		for _, object := range objects.of("Service") {
			matches("Service "+object.GetName(), convert[corev1.Service](t, object).Spec.Selector)
		}
		for _, object := range objects.of("NetworkPolicy") {
			matches("NetworkPolicy "+object.GetName(), convert[networkingv1.NetworkPolicy](t, object).Spec.PodSelector.MatchLabels)
		}
		for _, object := range objects.of("Deployment") {
			matches("Deployment "+object.GetName(), convert[appsv1.Deployment](t, object).Spec.Selector.MatchLabels)
		}
	}
}

// contains says whether labels have all that are wanted.
func contains(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return len(wanted) > 0
}

// A changed value makes new pods where it is read, and nowhere else.
func TestAChangedValueRollsThePodsThatReadIt(t *testing.T) {
	before := templates(t, rendered(t, "default"))
	for name, test := range map[string]struct {
		set  string
		want []string
	}{
		"a limit of clamd":             {"clamav.limits.maxThreads=20", []string{"clamav"}},
		"an extra line for clamd":      {"clamav.extraConfig=MaxScanTime 1", []string{"clamav"}},
		"a limit that clients read":    {"clamav.limits.fileSize=50", []string{"clamav", "clamav-sidecar-webhook"}},
		"how often freshclam looks":    {"clamav.freshclamCheck=24", []string{"clamav-freshclam"}},
		"a mirror":                     {"clamav.mirror=mirror.example", []string{"clamav-freshclam"}},
		"what sidecars get":            {"sidecar.scanTimeout=1m", []string{"clamav-sidecar-webhook"}},
		"the sidecar's image":          {"sidecar.image=registry.example/sidecar:1", []string{"clamav", "clamav-sidecar-webhook"}}, // clamd's metrics
		"the webhook's image":          {"webhook.image=registry.example/webhook:1", []string{"clamav-sidecar-webhook"}},
		"the number of replicas":       {"clamav.replicaCount=3", nil},
		"who may reach clamd":          {"networkPolicy.enabled=false", nil},
		"what Prometheus is told":      {"monitoring.podMonitor.enabled=true", nil},
		"the name of clients' file":    {"webhook.configMap.name=clients", []string{"clamav-freshclam", "clamav-sidecar-webhook"}},
		"a database of one's own also": {"clamav.customDatabaseURLs={https://a.example/b.ndb}", []string{"clamav", "clamav-freshclam"}}, // clamd's pods wait for it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for workload, template := range templates(t, parse(t, shared.helms[0].template(t, "--set", test.set))) {
				if !equality.Semantic.DeepEqual(template, before[workload]) {
					got = append(got, workload)
				}
			}
			if slices.Sort(got); !slices.Equal(got, test.want) {
				t.Errorf("got new pods of %q, want %q", got, test.want)
			}
		})
	}
}

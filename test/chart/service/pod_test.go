package service_test

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"clamav-sidecar/test/clamd"
)

// pod is one of the release's pods: its files, written where its programs can
// read them here.
type pod struct {
	release release
	spec    corev1.PodSpec
	user    uint32 // that its programs are run as; 0: that of the tests
	// configuration is for /etc/clamav, database for /var/lib/clamav, temporary
	// for /tmp.
	configuration, database, temporary string
	port                               int // for 3310
	local                              *strings.Replacer
}

// newPod writes the release's files for a pod whose clamd has the port, or
// whose freshclam knows the clamd service by it. Pods with the same database
// directory share a volume.
func newPod(t *testing.T, r release, spec corev1.PodSpec, database string, port int) *pod {
	t.Helper()
	dir := directory(t)
	p := &pod{
		release: r, spec: spec, user: userOf(spec), port: port, database: database,
		configuration: filepath.Join(dir, "configuration"), temporary: filepath.Join(dir, "temporary"),
	}
	client := filepath.Join(dir, "client")
	for _, path := range []string{p.configuration, client, p.temporary} {
		must(t, os.Mkdir(path, 0o755))
	}
	own(t, p.user, p.temporary)
	p.local = strings.NewReplacer(
		"/etc/clamav-client", client,
		"/etc/clamav", p.configuration,
		"/var/lib/clamav", database,
		"TemporaryDirectory /tmp", "TemporaryDirectory "+p.temporary,
		"/tmp/clamav-", p.temporary+"/clamav-",
		"/tmp/*-scantemp", p.temporary+"/*-scantemp",
		":-/tmp}", ":-"+p.temporary+"}",
		"TCPSocket 3310", "TCPSocket "+strconv.Itoa(port),
		"clamav."+namespace+".svc", "127.0.0.1",
	)
	for path, files := range map[string]map[string]string{p.configuration: r.server, client: r.client} {
		for name, text := range files {
			must(t, os.WriteFile(filepath.Join(path, name), []byte(p.local.Replace(text)), 0o644))
		}
	}
	return p
}

// replica is another pod with the same containers on the same volume.
func (p *pod) replica(t *testing.T) *pod {
	t.Helper()
	return newPod(t, p.release, p.spec, p.database, freePort(t))
}

// start starts a container with the command that the pod has for it.
func (p *pod) start(t *testing.T, container string, environment ...string) *process {
	t.Helper()
	return start(t, container, p.command(t, p.container(t, container).Command, environment...))
}

// command is a command line of the pod, such as that of a probe, as it is here.
func (p *pod) command(t *testing.T, line []string, environment ...string) *exec.Cmd {
	t.Helper()
	program, err := clamd.Find(line[0])
	must(t, err)
	args := make([]string, len(line)-1)
	for i, arg := range line[1:] {
		args[i] = p.local.Replace(arg)
	}
	path := os.Getenv("PATH")
	for _, needed := range []string{"clamd", "freshclam"} {
		found, err := clamd.Find(needed)
		must(t, err)
		path = filepath.Dir(found) + ":" + path
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = p.database
	cmd.Env = append([]string{"PATH=" + path}, environment...)
	cmd.SysProcAttr = processAttributes(p.user)
	return cmd
}

func (p *pod) container(t *testing.T, name string) corev1.Container {
	t.Helper()
	for _, container := range append(p.spec.InitContainers, p.spec.Containers...) {
		if container.Name == name {
			return container
		}
	}
	t.Fatalf("the pod has no container %s", name)
	return corev1.Container{}
}

// serve starts clamd and waits until it takes connections, as the startup probe
// does.
func (p *pod) serve(t *testing.T) *process {
	t.Helper()
	daemon := p.start(t, "clamd")
	await(t, "clamd listens", func() bool {
		if !daemon.running() {
			t.Fatalf("clamd ended with %v", daemon.cmd.ProcessState)
		}
		conn, err := net.Dial("tcp", p.address())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return daemon
}

// address is where its clamd is, as host:port.
func (p *pod) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// userOf is the user that root runs the pod's programs as.
func userOf(spec corev1.PodSpec) uint32 {
	if os.Geteuid() != 0 {
		return 0
	}
	return uint32(*spec.SecurityContext.RunAsUser)
}

// volume makes an empty directory for signatures that the pod's user owns.
func volume(t *testing.T, spec corev1.PodSpec) string {
	t.Helper()
	dir := directory(t)
	own(t, userOf(spec), dir)
	return dir
}

// directory makes an empty one that every user may enter, as t.TempDir's may not.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "service-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func own(t *testing.T, user uint32, path string) {
	t.Helper()
	if user != 0 {
		must(t, os.Chown(path, int(user), int(user)))
	}
}

// freePort gives a port that no process has on any address. It is below the
// ephemeral ones, so that no outgoing connection takes it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		port := 10000 + rand.IntN(20000)
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err == nil {
			must(t, listener.Close())
			return port
		}
	}
	t.Fatal("found no free port in 20 attempts")
	return 0
}

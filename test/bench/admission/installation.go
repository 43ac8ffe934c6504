package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"clamav-sidecar/test/kube"
	"clamav-sidecar/test/rendered"
	"clamav-sidecar/webhook"
)

const (
	// home is the webhook's own namespace, as in the manifests; shop is that of the
	// pods.
	home = "clamav-system"
	shop = "shop"
)

// configuration is the webhook's file.
const configuration = `
clamd: {host: clamav.clamav-system.svc}
sidecar: {image: "` + image + `"}
`

// installation is an API server with the rights and the configurations of the
// webhook, for its binary to be started against it.
type installation struct {
	cluster *kube.Cluster
	binary  string
	dir     string // of the files below
}

// install starts an API server.
func install(opts options) (*installation, error) {
	dir, err := os.MkdirTemp("", "bench-admission-")
	if err != nil {
		return nil, err
	}
	in := &installation{binary: opts.webhook, dir: dir}
	if in.cluster, err = kube.New(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := in.prepare(opts.manifests); err != nil {
		return nil, errors.Join(err, in.close())
	}
	return in, nil
}

func (in *installation) close() error {
	return errors.Join(in.cluster.Stop(), os.RemoveAll(in.dir))
}

func (in *installation) config() string     { return filepath.Join(in.dir, "config.yaml") }
func (in *installation) kubeconfig() string { return filepath.Join(in.dir, "webhook.kubeconfig") }

// prepare applies the manifests and writes the webhook's files.
func (in *installation) prepare(manifests string) error {
	for _, name := range []string{home, shop} {
		if _, err := in.kubectl("create", "namespace", name); err != nil {
			return err
		}
	}
	objects, err := rendered.Objects(manifests, append(rendered.Rights(), rendered.Configurations)...)
	if err != nil {
		return err
	}
	if _, stderr, err := in.cluster.Kubectl(objects, "apply", "-f", "-"); err != nil {
		return fmt.Errorf("failed to apply what the webhook needs: %w: %s", err, stderr)
	}
	token, err := in.kubectl("create", "token", "clamav-sidecar-webhook", "--namespace", home, "--duration", "24h")
	if err != nil {
		return err
	}
	const name = "webhook"
	kubeconfig := api.NewConfig()
	kubeconfig.Clusters[name] = &api.Cluster{Server: in.cluster.Admin.Host, CertificateAuthorityData: in.cluster.Admin.CAData}
	kubeconfig.AuthInfos[name] = &api.AuthInfo{Token: strings.TrimSpace(token)}
	kubeconfig.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	return errors.Join(clientcmd.WriteToFile(*kubeconfig, in.kubeconfig()),
		os.WriteFile(in.config(), []byte(configuration), 0o600))
}

func (in *installation) kubectl(args ...string) (string, error) {
	stdout, stderr, err := in.cluster.Kubectl("", args...)
	if err != nil {
		return "", fmt.Errorf("failed to run kubectl %s: %w: %s", strings.Join(args, " "), err, stderr)
	}
	return stdout, nil
}

// authorities are the certificates, in PEM, that API servers trust the webhook
// by.
func (in *installation) authorities() ([]byte, error) {
	text, err := in.kubectl("get", "mutatingwebhookconfiguration", webhook.Default().Configurations[0],
		"-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// settled fails unless the shop has its client configuration, which the first
// injection there makes: requests after it are answered from the cache.
func (in *installation) settled() error {
	_, err := in.kubectl("get", "configmap", "clamav-configuration", "--namespace", shop)
	return err
}

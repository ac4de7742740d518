package appliance_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/appliancetest"
)

// certificate makes one that signs itself.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestOnlyTLS13(t *testing.T) {
	n := shared.Node(t)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12} {
		c, err := tls.Dial("tcp", n.Address(), &tls.Config{RootCAs: n.Roots(t), MinVersion: tls.VersionTLS10, MaxVersion: version})
		if err == nil {
			c.Close()
			t.Errorf("TLS version %x was taken", version)
		}
	}
	plain, err := net.Dial("tcp", n.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := io.WriteString(plain, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(plain); strings.Contains(string(b), " 200 ") || strings.Contains(string(b), "ok\n") {
		t.Errorf("without TLS: %q", b)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+n.Address()+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := n.Dial(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.TLS.Version != tls.VersionTLS13 || res.ProtoMajor != 2 || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%x %s %v", res.TLS.Version, res.Proto, res.Header)
	}
}

func TestClientCertificate(t *testing.T) {
	n := shared.Node(t)
	home := n.Tenant(t)
	mine, text := certificate(t, "branch", time.Now().Add(time.Hour))
	other, _ := certificate(t, "branch", time.Now().Add(time.Hour))
	old, oldText := certificate(t, "old", time.Now().Add(-time.Hour))
	var id string
	for _, pem := range []string{text, oldText} {
		a := home.Admin.Do(t, "POST", "/v1/clients", appliancetest.JSON(map[string]any{"name": "branch", "roles": []string{"operator"}, "certificate": pem})).Want(t, 201)
		if a.Text(t, "key") != "" || a.Text(t, "client.credential") != "certificate" {
			t.Errorf("%s", a.Body)
		}
		if pem == text {
			id = a.Text(t, "client.id")
		}
	}
	if a := home.Admin.Do(t, "POST", "/v1/clients", appliancetest.JSON(map[string]any{"name": "again", "roles": []string{"operator"}, "certificate": text})); a.Status != 409 {
		t.Errorf("a certificate was registered twice: %d %s", a.Status, a.Body)
	}
	with := func(c tls.Certificate) *appliancetest.Client {
		who := n.Nobody()
		who.HTTP = n.Dial(t, &c)
		return who
	}
	branch := with(mine)
	branch.Create(t)
	branch.Do(t, "GET", "/v1/clients", nil).Refused(t, "forbidden")
	with(other).Do(t, "GET", "/v1/sessions", nil).Refused(t, "unauthorized")
	with(old).Do(t, "GET", "/v1/sessions", nil).Refused(t, "unauthorized")
	found := false
	for _, l := range home.Leaves(t) {
		found = found || l.Action == "session.create" && l.Actor["id"] == id && l.Actor["authn"] == "certificate"
	}
	if !found {
		t.Error("the log does not say that a certificate was shown")
	}
	home.Admin.Do(t, "DELETE", "/v1/clients/"+id, nil).Want(t, 200)
	branch.Do(t, "GET", "/v1/sessions", nil).Refused(t, "unauthorized") // on the connection that it has
}

// The bank's certificate is served, and read again when it changes.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	at := time.Now().Add(-time.Hour)
	write := func(c tls.Certificate, text string) {
		t.Helper()
		der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Minute)
		for path, b := range map[string][]byte{certFile: []byte(text), keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	served := func(n *appliancetest.Node) string {
		t.Helper()
		c, err := tls.Dial("tcp", n.Address(), &tls.Config{InsecureSkipVerify: true}) // the test looks at it
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	write(certificate(t, "first", time.Now().Add(time.Hour)))
	n := appliancetest.Start(t, appliancetest.Config(func(c *appliance.Config) { c.Certificate, c.Key = certFile, keyFile }))
	if got := served(n); got != "first" {
		t.Errorf("served %q", got)
	}
	write(certificate(t, "second", time.Now().Add(time.Hour)))
	if got := served(n); got != "second" {
		t.Errorf("served %q after the change", got)
	}
	at = at.Add(time.Minute)
	if err := os.WriteFile(certFile, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := served(n); got != "second" {
		t.Errorf("served %q while the new one is damaged", got)
	}
	if !strings.Contains(n.Log(), "the new certificate cannot be used") {
		t.Error("nobody is told of the damaged certificate")
	}
	write(certificate(t, "third", time.Now().Add(time.Hour)))
	if got := served(n); got != "third" {
		t.Errorf("served %q", got)
	}
}

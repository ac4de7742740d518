package appliance_test

import (
	"bytes"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

func ready(t *testing.T, c *appliancetest.Client, status int) map[string]bool {
	t.Helper()
	var r struct {
		Ready  bool
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	c.Do(t, "GET", "/readyz", nil).Want(t, status).JSON(t, &r)
	checks := map[string]bool{}
	for _, k := range r.Checks {
		if checks[k.Name] = k.OK; !k.OK && k.Detail == "" {
			t.Errorf("%s does not say why", k.Name)
		}
	}
	if r.Ready != (status == 200) || len(checks) < 4 {
		t.Errorf("%+v", r)
	}
	return checks
}

// Without room, new evidence is refused and the rest goes on.
func TestFullDisk(t *testing.T) {
	n := appliancetest.Start(t, appliancetest.Config(func(c *appliance.Config) { c.Reserve = 1 << 60 }))
	op := n.Home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request(""))).Want(t, 507).Refused(t, "disk-full")
	op.Put(t, "ses_0", "selfie", p.Selfie).Want(t, 507).Refused(t, "disk-full")
	op.Do(t, "POST", "/v1/verifications", appliancetest.VerificationForm(t, p.Document, p.Selfie)).Want(t, 507).Refused(t, "disk-full")
	checks := ready(t, n.Home.Admin, 503)
	if checks["disk"] || !checks["read"] || !checks["seal"] || !checks["models"] {
		t.Errorf("%v", checks)
	}
	op.Do(t, "GET", "/v1/sessions", nil).Want(t, 200)
	n.Home.Leaves(t)
}

func TestReady(t *testing.T) {
	n := shared.Node(t)
	for name, ok := range ready(t, n.Home.Key(t, access.Monitor), 200) {
		if !ok {
			t.Errorf("%s is not", name)
		}
	}
	s := n.Home.Admin.Do(t, "GET", "/v1/status", nil).Want(t, 200)
	if s.Text(t, "role") != "leader" || s.Text(t, "set_up") != "true" || s.Text(t, "sealed") != "false" || len(s.Text(t, "state_hash")) != 64 || s.Text(t, "version") != "test" {
		t.Errorf("%s", s.Body)
	}
	if other := n.Tenant(t).Key(t, access.Monitor).Do(t, "GET", "/v1/status", nil).Want(t, 200); strings.Contains(string(other.Body), n.Home.ID) || strings.Contains(string(other.Body), "/system/") {
		t.Errorf("a tenant sees what is not its own: %s", other.Body)
	}
}

func TestMetrics(t *testing.T) {
	n := shared.Node(t)
	op := n.Home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	id := op.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie)).Want(t, 200).Text(t, "id")
	op.Do(t, "GET", "/v1/clients", nil).Want(t, 403)
	n.As("gh_x").Do(t, "GET", "/nothing/"+id, nil).Want(t, 401)
	a := n.Home.Admin.Do(t, "GET", "/metrics", nil).Want(t, 200)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gatehouse_http_requests_total", "gatehouse_http_request_seconds", "gatehouse_stage_seconds", "gatehouse_denied_total", "gatehouse_state_commit_seconds",
		"gatehouse_info", "gatehouse_jobs_waiting", "gatehouse_jobs_waiting_batch", "gatehouse_jobs_running", "gatehouse_jobs_done", "gatehouse_jobs_service_seconds",
		"gatehouse_raft_last_index", "gatehouse_raft_applied_index", "gatehouse_raft_term", "gatehouse_raft_leader", "gatehouse_state_bytes", "gatehouse_sealed",
		"gatehouse_disk_free_bytes", "gatehouse_disk_total_bytes", "gatehouse_disk_full", "process_resident_memory_bytes", "go_goroutines"} {
		if f := families[name]; f == nil || f.GetHelp() == "" {
			t.Errorf("no %s, or it does not say what it is", name)
		}
	}
	for _, private := range []string{id, "ses_", "ten_", "cli_", "sub_", "clu_", n.Home.ID, "gh_", "/nothing"} {
		if strings.Contains(string(a.Body), private) {
			t.Errorf("the metrics show %q", private)
		}
	}
	allowed := map[string]bool{"route": true, "code": true, "stage": true, "reason": true, "version": true, "le": true, "quantile": true}
	routes := map[string]bool{"none": true}
	for _, r := range access.Routes() {
		routes[r.Method+" "+r.Path] = true
	}
	stages := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			labels(t, name, m, allowed, routes)
			if name == "gatehouse_stage_seconds" {
				stages[m.Label[0].GetValue()] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	for _, stage := range []string{"gather", "document", "face", "liveness", "total", "commit"} {
		if stages[stage] < 1 {
			t.Errorf("stage %s was not timed: %v", stage, stages)
		}
	}
	if v := families["gatehouse_raft_leader"].Metric[0].Gauge.GetValue(); v != 1 {
		t.Errorf("leader %v", v)
	}
}

func labels(t *testing.T, name string, m *dto.Metric, allowed, routes map[string]bool) {
	t.Helper()
	for _, l := range m.Label {
		if strings.HasPrefix(name, "gatehouse_") && !allowed[l.GetName()] {
			t.Errorf("%s has a label %s", name, l.GetName())
		}
		if l.GetName() == "route" && !routes[l.GetValue()] {
			t.Errorf("%s has the route %q", name, l.GetValue())
		}
	}
}

// Package health says how the node is: metrics for Prometheus, and whether it
// can do its work.
//
// It must never show a person, a key, or which tenant does what: labels are
// routes, stages and states of the node.
package health

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/appliance/forward"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/member"
	"gatehouse/cluster"
	"gatehouse/cluster/replica"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// edges of the histograms, in seconds: those of the budgets (requirement
// 13.2: 0.1, 0.2, 0.5, 1, 3) with some between and around.
func edges() []float64 {
	return []float64{.005, .01, .025, .05, .1, .2, .35, .5, .75, 1, 2, 3, 5, 10, 30}
}

// Sources of what is read when metrics are asked for.
type Sources struct {
	Node    *cluster.Node
	State   *state.State
	Keys    *keys.Store
	Jobs    *jobs.Pool
	Disk    *Disk
	Faces   *identify.Keeper
	Forward *forward.Forwarder
	Members *member.Service
	Copies  *replica.Replica
	// Ring says whether the key-ring that the cluster has agreed on is here.
	Ring func() bool
}

// Metrics of one node.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	denied   *prometheus.CounterVec
	commits  prometheus.Histogram
}

// NewMetrics makes the node's metrics.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatehouse_http_requests_total", Help: "Requests answered, by route and status."}, []string{"route", "code"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gatehouse_http_request_seconds", Help: "Time of requests, by route.", Buckets: edges()}, []string{"route"}),
		stages:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gatehouse_stage_seconds", Help: "Time of the stages of a verification.", Buckets: edges()}, []string{"stage"}),
		denied:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatehouse_denied_total", Help: "Requests that were not let in, by reason."}, []string{"reason"}),
		commits:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatehouse_state_commit_seconds", Help: "Time of the state's synced commits.", Buckets: edges()}),
	}
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gatehouse_info", Help: "Version of the program.", ConstLabels: prometheus.Labels{"version": version}}, func() float64 { return 1 })
	m.registry.MustRegister(m.requests, m.seconds, m.stages, m.denied, m.commits, info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Read adds what is read from the parts of the node.
func (m *Metrics) Read(s Sources) {
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"gatehouse_jobs_waiting", "Verifications that wait for a worker.", func() float64 { return float64(s.Jobs.Stats().Waiting) }},
		{"gatehouse_jobs_waiting_batch", "Verifications of batch sessions that wait for a worker.", func() float64 { return float64(s.Jobs.Stats().Batch) }},
		{"gatehouse_jobs_running", "Verifications under way.", func() float64 { return float64(s.Jobs.Stats().Running) }},
		{"gatehouse_jobs_done", "Verifications worked on since the start.", func() float64 { return float64(s.Jobs.Stats().Done) }},
		{"gatehouse_jobs_service_seconds", "Mean time of the last verifications.", func() float64 { return s.Jobs.Stats().Service.Seconds() }},
		{"gatehouse_raft_last_index", "Last entry of the log.", func() float64 { return float64(s.Node.Status().Index) }},
		{"gatehouse_raft_applied_index", "Last entry in the state.", func() float64 { return float64(s.Node.Status().Applied) }},
		{"gatehouse_raft_snapshot_index", "Last entry that the newest snapshot stands for.", func() float64 { return float64(s.Node.Status().SnapshotIndex) }},
		{"gatehouse_raft_term", "Term.", func() float64 { return float64(s.Node.Status().Term) }},
		{"gatehouse_raft_leader", "Whether this node leads.", func() float64 { return truth(s.Node.Status().Role == "leader") }},
		{"gatehouse_state_bytes", "Size of the state's file.", func() float64 { n, _ := s.State.Size(); return float64(n) }},
		{"gatehouse_state_free_bytes", "Free pages in the state's file.", func() float64 { _, n := s.State.Size(); return float64(n) }},
		{"gatehouse_gallery_ready", "Whether all face galleries are complete.", func() float64 { ok, _ := s.Faces.Ready(); return truth(ok) }},
		{"gatehouse_gallery_templates", "Face templates in memory, of all tenants.", func() float64 { n, _ := s.Faces.Size(); return float64(n) }},
		{"gatehouse_gallery_bytes", "Memory that they take.", func() float64 { _, n := s.Faces.Size(); return float64(n) }},
		{"gatehouse_sealed", "Whether the node is sealed.", func() float64 { return truth(s.Keys.Sealed()) }},
		{"gatehouse_disk_free_bytes", "Free space where the data lie.", func() float64 { free, _ := s.Disk.Space(); return float64(free) }},
		{"gatehouse_disk_total_bytes", "Space where the data lie.", func() float64 { _, total := s.Disk.Space(); return float64(total) }},
		{"gatehouse_disk_full", "Whether new evidence is refused for want of space.", func() float64 { return truth(s.Disk.Full()) }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, g.value))
	}
	m.cluster(s)
	m.forwarding(s.Forward)
}

// cluster as this node sees it.
func (m *Metrics) cluster(s Sources) {
	for _, g := range []struct {
		name, help string
		value      func(*member.Overview) float64
	}{
		{"gatehouse_cluster_members", "Nodes of the cluster.", func(o *member.Overview) float64 { return float64(len(o.Members)) }},
		{"gatehouse_cluster_members_up", "Nodes that answer.", func(o *member.Overview) float64 {
			return count(o, func(m *member.Standing) bool { return m.Up })
		}},
		{"gatehouse_cluster_voters", "Nodes that have a vote.", func(o *member.Overview) float64 {
			return count(o, func(m *member.Standing) bool { return m.Role != "joining" })
		}},
		{"gatehouse_cluster_quorum", "Whether a majority of the voters answers.", func(o *member.Overview) float64 { return truth(o.Quorum) }},
		{"gatehouse_cluster_clock_skew_seconds", "The largest difference of a node's clock from this one's.", func(o *member.Overview) float64 {
			most := 0.0
			for _, m := range o.Members {
				most = max(most, m.Skew.Abs().Seconds())
			}
			return most
		}},
		{"gatehouse_cluster_certificate_expiry_seconds", "When this node's certificate among the others ends, in Unix time; 0: it has none.", func(o *member.Overview) float64 {
			for _, m := range o.Members {
				if !m.Expiry.IsZero() {
					return float64(m.Expiry.Unix())
				}
			}
			return 0
		}},
		{"gatehouse_cluster_advice", "Things that somebody should do: 'gatehouse cluster status' says what.", func(o *member.Overview) float64 { return float64(len(o.Advice)) }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 {
			o, err := s.Members.Overview()
			if err != nil {
				return math.NaN()
			}
			return g.value(o)
		}))
	}
	for _, g := range []struct {
		name, help string
		value      func(replica.Stats) float64
	}{
		{"gatehouse_copies_missing", "Pictures that this node lacks.", func(s replica.Stats) float64 { return float64(s.Missing) }},
		{"gatehouse_copies_lost", "Pictures that no node has whole.", func(s replica.Stats) float64 { return float64(s.Lost) }},
		{"gatehouse_copies_healed", "Pictures that came from another node since the start.", func(s replica.Stats) float64 { return float64(s.Healed) }},
		{"gatehouse_copies_rotten", "Pictures that were found damaged here since the start.", func(s replica.Stats) float64 { return float64(s.Rotten) }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return g.value(s.Copies.Stats()) }))
	}
}

func count(o *member.Overview, so func(*member.Standing) bool) float64 {
	n := 0
	for i := range o.Members {
		if so(&o.Members[i]) {
			n++
		}
	}
	return float64(n)
}

// forwarding of the audit logs, by sink. The sinks are those of the node's
// configuration: a few, and none comes later.
func (m *Metrics) forwarding(f *forward.Forwarder) {
	for i, sink := range f.Status() {
		for _, g := range []struct {
			name, help string
			value      func(forward.SinkStatus) float64
		}{
			{"gatehouse_forward_lag_events", "Events of the audit logs that a sink does not have yet.", func(s forward.SinkStatus) float64 { return float64(s.Lag) }},
			{"gatehouse_forward_lag_seconds", "Age of the oldest of them.", func(s forward.SinkStatus) float64 { return s.LagSeconds }},
			{"gatehouse_forward_sent", "Events that a sink has confirmed since the start.", func(s forward.SinkStatus) float64 { return float64(s.Sent) }},
			{"gatehouse_forward_alarm", "Whether a sink has been behind for too long.", func(s forward.SinkStatus) float64 { return truth(s.Alarm) }},
		} {
			m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help, ConstLabels: prometheus.Labels{"sink": sink.Name}},
				func() float64 { return g.value(f.Status()[i]) }))
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Request notes an answered request; route is a path of the API's table.
func (m *Metrics) Request(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// Stage notes the time of one stage of a verification.
func (m *Metrics) Stage(stage string, seconds float64) {
	m.stages.WithLabelValues(stage).Observe(seconds)
}

// Denied notes a request that was not let in.
func (m *Metrics) Denied(reason string) { m.denied.WithLabelValues(reason).Inc() }

// Commit notes a synced commit of the state.
func (m *Metrics) Commit(took time.Duration) { m.commits.Observe(took.Seconds()) }

// Handler answers in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

package main

import (
	"context"
	"flag"
	"fmt"

	"gatehouse/engine/pack"
)

func modelCommands() []command {
	return []command{
		{
			name: "models list", summary: "list the models with licence, origin and limits",
			manual: `
Prints the model pack in use: each model's task, hash, licence, origin and known
limits ("unknown" where it is unknown), and the calibration that gives its
scores their error rates.`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error { return modelsList },
		},
		{
			name: "models verify", summary: "check every byte of the models and load them",
			manual: `
Checks the SHA-256 of every file of the pack and of the runtime, then loads each
model. Ends with 1 and the file's name where anything is not as it was built.`,
			flags: func(*flag.FlagSet) func(context.Context, *call, []string) error { return modelsVerify },
		},
	}
}

func modelsList(_ context.Context, c *call, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: it takes no arguments; --models names another pack", errUsage)
	}
	p, err := c.openPack()
	if err != nil {
		return err
	}
	if c.json || c.jsonl {
		c.print(struct {
			pack.Manifest
			Calibration pack.Calibration `json:"calibration"`
		}{p.Manifest, p.Calibration})
		return nil
	}
	fmt.Fprintf(c.out, "pack %s, version %s\n", p.ID, p.Version)
	for _, m := range p.Models {
		fmt.Fprintf(c.out, "\n%s (%s)\n  file      %s, %d bytes, sha256 %s\n  licence   %s\n  package   %s\n  upstream  %s\n  trained   %s\n", m.Name, m.Task, m.File.Name, m.Bytes, m.SHA256, m.Licence.SPDX, m.Provenance.Package, m.Provenance.Upstream, m.Provenance.TrainingData)
		for _, l := range m.Limits {
			fmt.Fprintf(c.out, "  limit     %s\n", l)
		}
	}
	m := p.Calibration.Match
	fmt.Fprintf(c.out, "\ncalibration of %s on %s (%d genuine, %d impostor pairs), safety factor %g\n", m.EmbeddingID, m.DataSet, m.GenuinePairs, m.ImpostorPairs, m.SafetyFactor)
	for _, t := range []struct {
		name string
		at   float64
	}{{"review", m.Review}, {"match", m.Match}, {"duplicate", m.Duplicate}} {
		fmt.Fprintf(c.out, "  %-10s similarity ≥ %.4f, FMR %.1e\n", t.name, t.at, m.FalseMatchRate(t.at))
	}
	l := p.Calibration.Liveness
	fmt.Fprintf(c.out, "  %-10s P(live) ≥ %.2f passes, < %.2f is an attack; %s\n", "liveness", l.Live, l.Attack, l.Note)
	return nil
}

type verified struct {
	Pack    string   `json:"pack"`
	Version string   `json:"version"`
	Models  []string `json:"models"`
	OK      bool     `json:"ok"`
}

func modelsVerify(_ context.Context, c *call, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: it takes no arguments; --models names another pack", errUsage)
	}
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Warm(); err != nil {
		return err
	}
	r := verified{Pack: e.Pack().ID, Version: e.Pack().Version, OK: true}
	for _, n := range e.Networks() {
		r.Models = append(r.Models, n.Model.Name)
	}
	if c.json || c.jsonl {
		c.print(r)
		return nil
	}
	fmt.Fprintf(c.out, "pack %s, version %s: %s, every byte as recorded, all load on ONNX Runtime %s\n", r.Pack, r.Version, plural(len(r.Models), "model"), e.RuntimeVersion())
	return nil
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"gatehouse/cluster/peer"
)

// logger gives Raft's messages to slog.
type logger struct{ to *slog.Logger }

func (l *logger) Log(level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch {
	case level >= hclog.Error:
		to = slog.LevelError
	case level == hclog.Warn:
		to = slog.LevelWarn
	}
	for i, a := range args {
		if e, ok := a.(error); ok {
			if remote(e) { // of a node that is away the others tell in their own words
				to = slog.LevelDebug
			}
			args[i] = e.Error()
		} else if s, ok := a.(fmt.Stringer); ok {
			args[i] = s.String()
		}
	}
	l.to.Log(context.Background(), to, "raft: "+msg, args...)
}

// remote tells whether an error is of a connection.
func remote(err error) bool {
	var of net.Error
	return errors.As(err, &of) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, peer.ErrRefused) || errors.Is(err, peer.ErrUnknown) || errors.Is(err, raft.ErrTransportShutdown)
}

func (l *logger) Trace(msg string, args ...any)  {}
func (l *logger) Debug(msg string, args ...any)  { l.Log(hclog.Debug, msg, args...) }
func (l *logger) Info(msg string, args ...any)   { l.Log(hclog.Info, msg, args...) }
func (l *logger) Warn(msg string, args ...any)   { l.Log(hclog.Warn, msg, args...) }
func (l *logger) Error(msg string, args ...any)  { l.Log(hclog.Error, msg, args...) }
func (l *logger) IsTrace() bool                  { return false }
func (l *logger) IsDebug() bool                  { return l.to.Enabled(context.Background(), slog.LevelDebug) }
func (l *logger) IsInfo() bool                   { return l.IsDebug() }
func (l *logger) IsWarn() bool                   { return true }
func (l *logger) IsError() bool                  { return true }
func (l *logger) ImpliedArgs() []any             { return nil }
func (l *logger) With(args ...any) hclog.Logger  { return &logger{l.to.With(args...)} }
func (l *logger) Name() string                   { return "raft" }
func (l *logger) Named(string) hclog.Logger      { return l }
func (l *logger) ResetNamed(string) hclog.Logger { return l }
func (l *logger) SetLevel(hclog.Level)           {}
func (l *logger) GetLevel() hclog.Level          { return hclog.Info }
func (l *logger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return io.Discard
}
func (l *logger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(io.Discard, "", 0)
}

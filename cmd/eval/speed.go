package main
import "context"
func speed(ctx context.Context, r *report, f *flags) error {return nil}
func peers(ctx context.Context, r *report, f *flags) error {return nil}

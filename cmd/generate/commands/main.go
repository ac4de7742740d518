// Command commands writes the Go code of the commands from command.proto, with
// the compiler and the generator that go.mod pins. `make generate` runs it in
// the root of the repository; `make lint` fails where its output is not what is
// checked in.
//
// It must import nothing of ours: what it writes may not compile before.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if err := generate("store/command", "command.proto"); err != nil {
		fmt.Fprintln(os.Stderr, "generate commands:", err)
		os.Exit(1)
	}
}

func generate(dir, file string) error {
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{dir}}, SourceInfoMode: protocompile.SourceInfoStandard}
	files, err := c.Compile(context.Background(), file)
	if err != nil {
		return err
	}
	// Through bytes, so that the options are of the types that protogen knows.
	b, err := proto.Marshal(protodesc.ToFileDescriptorProto(files[0]))
	if err != nil {
		return err
	}
	var fd descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(b, &fd); err != nil {
		return err
	}
	gen, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{file}, ProtoFile: []*descriptorpb.FileDescriptorProto{&fd},
	})
	if err != nil {
		return err
	}
	for _, f := range gen.Files {
		internal_gengo.GenerateFile(gen, f)
	}
	for _, f := range gen.Response().File {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.GetName())), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

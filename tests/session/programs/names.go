// names.go: what a Go program sees of the place that 45_trap.sh makes, in the words of names.c.
// Go makes its system calls itself, whatever C library there is.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

var errorNames = map[syscall.Errno]string{
	syscall.ENOENT: "ENOENT", syscall.EACCES: "EACCES", syscall.EROFS: "EROFS", syscall.EXDEV: "EXDEV",
	syscall.EEXIST: "EEXIST", syscall.ENOTDIR: "ENOTDIR", syscall.EBUSY: "EBUSY", syscall.EPERM: "EPERM",
}

func outcome(err error) string {
	var number syscall.Errno
	if err == nil {
		return "done"
	}
	if errors.As(err, &number) {
		if name, known := errorNames[number]; known {
			return name
		}
	}
	return err.Error()
}

func tell(what, path string, err error) {
	fmt.Printf("%s %s: %s\n", what, path, outcome(err))
}

func tellRead(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		tell("read", path, err)
		return
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fmt.Printf("read %s: %s\n", path, line)
}

func tellStat(path string) {
	status, err := os.Stat(path)
	if err != nil {
		tell("stat", path, err)
		return
	}
	same := "is not what is opened"
	if file, err := os.Open(path); err == nil {
		if opened, err := file.Stat(); err == nil && os.SameFile(status, opened) {
			same = "is what is opened"
		}
		file.Close()
	}
	if status.IsDir() {
		fmt.Printf("stat %s: a folder\n", path)
	} else {
		fmt.Printf("stat %s: %d bytes, %o, %s\n", path, status.Size(), status.Mode().Perm(), same)
	}
}

func tellLink(path, here string) {
	text, err := os.Readlink(path)
	if err != nil {
		tell("link", path, err)
		return
	}
	kind := "none"
	if status, err := os.Lstat(path); err == nil && status.Mode()&os.ModeSymlink != 0 {
		kind = "a symlink"
	}
	fmt.Printf("link %s: %s, %s\n", path, strings.TrimPrefix(text, here+"/"), kind)
}

func tellList(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		tell("list", path, err)
		return
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, entry.Name())
		}
	}
	sort.Strings(names)
	fmt.Println(strings.TrimSpace("list " + path + ": " + strings.Join(names, " ")))
}

func tellHere(here string) {
	name, err := syscall.Getwd()
	if err != nil {
		tell("here", "", err)
		return
	}
	name = strings.TrimRight(name, "\x00")
	if name == here {
		name = "HERE"
	}
	fmt.Printf("here: %s\n", strings.TrimPrefix(name, here+"/"))
}

func tellWrite(path string, flags int, text string) {
	file, err := os.OpenFile(path, os.O_WRONLY|flags, 0o666)
	if err == nil {
		_, err = file.WriteString(text)
		file.Close()
	}
	tell("write", path, err)
}

func tellRun(path, word string) {
	command := exec.Command(path, word)
	command.Path = path
	command.Err = nil
	text, err := command.Output()
	fmt.Print(string(text))
	if err != nil {
		tell("run", path, err)
	}
}

func looks(here string) {
	for _, path := range []string{"greet", "node/tree/f1", "node/none", "bound/place/x", "bound_file", "hidden/x",
		"hidden_file", "way/f2", "node/tree/inner", "plain"} {
		tellRead(path)
	}
	for _, path := range []string{"node/tree/f1", "node/tree", "bound/place", "bound/place/x", "bound_file", "hidden",
		"plain"} {
		tellStat(path)
	}
	tellLink("node/tree/inner", here)
	tellLink("way", here)
	for _, path := range []string{".", "node/tree", "bound/place", "bound", "hidden"} {
		tellList(path)
	}
}

func acts(here, program string) {
	tellWrite("node/tree/f1", 0, "x")
	tellWrite("node/tree/new", os.O_CREATE, "x")
	tellWrite("bound/place/new", os.O_CREATE|os.O_EXCL, "new")
	tellWrite("bound/place/new", os.O_CREATE|os.O_EXCL, "new")
	tellRead("bound/target/new")
	tell("chmod", "bound/place/new", os.Chmod("bound/place/new", 0o640))
	tell("truncate", "bound/place/new", os.Truncate("bound/place/new", 2))
	tellStat("bound/place/new")
	tell("mkdir", "bound/place/folder", os.Mkdir("bound/place/folder", 0o777))
	tell("rename", "bound/place/new", os.Rename("bound/place/new", "bound/place/folder/moved"))
	tell("unlink", "bound/place/folder/moved", syscall.Unlink("bound/place/folder/moved"))
	tell("rmdir", "bound/place/folder", syscall.Rmdir("bound/place/folder"))
	tell("unlink", "node/tree/f1", syscall.Unlink("node/tree/f1"))
	tell("chdir", "bound/place", os.Chdir("bound/place"))
	tellHere(here)
	tellRead("x")
	tell("chdir", "back", os.Chdir(here))
	tell("chdir", "node/tree/sub", os.Chdir("node/tree/sub"))
	tellHere(here)
	tellRead("../f1")
	tell("chdir", "back", os.Chdir(here))
	tellHere(here)
	tellRun("bound/place/"+program, "bound")
	tellRun("hidden/program", "hidden")
}

func main() {
	if len(os.Args) < 3 || os.Chdir(os.Args[2]) != nil {
		fmt.Fprintln(os.Stderr, "names: looks FOLDER, or acts FOLDER PROGRAM")
		os.Exit(2)
	}
	here, err := filepath.EvalSymlinks(os.Args[2])
	if err != nil {
		here = os.Args[2]
	}
	if os.Args[1] == "looks" {
		looks(here)
	} else {
		acts(here, os.Args[3])
	}
}

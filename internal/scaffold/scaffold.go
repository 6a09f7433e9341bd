// Package scaffold writes the script of a new object, commented and ready to be served.
//
// The path of the script follows from the object's id, as the host expects it: acme.shop.cart is acme/shop/cart.lua in
// the scripts folder. The text is the template templates/object.lua.
package scaffold

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/hearthhost/hearth/object"
)

//go:embed templates/object.lua
var objectSource string

var objectTemplate = template.Must(template.New("object").Parse(objectSource))

// ParseID checks that the host would serve a script of this id as an object.
func ParseID(s string) (object.ID, error) {
	id, err := object.ParseID(s)
	if err != nil {
		return "", fmt.Errorf("%w; for example: hearth new acme.counter", err)
	}
	name := id.Name()
	if strings.HasPrefix(name, "lib.") {
		return "", fmt.Errorf("object id %q: %s/lib holds modules for require, not objects", s, id.Tenant())
	}
	if strings.HasSuffix(name, "_test") {
		return "", fmt.Errorf("object id %q: *_test.lua files hold tests, not objects", s)
	}
	return id, nil
}

// Write writes the script of an object into the scripts folder and returns its path. It never overwrites a file.
func Write(dir string, id object.ID) (string, error) {
	path := filepath.Join(dir, string(id.Tenant()), filepath.FromSlash(strings.ReplaceAll(id.Name(), ".", "/"))+".lua")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // scripts are not secret
		return "", fmt.Errorf("creating the object's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as above
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s exists and was not changed; choose another name, or move it first", path)
	}
	if err != nil {
		return "", fmt.Errorf("writing the script: %w", err)
	}
	err = objectTemplate.Execute(f, struct{ ID object.ID }{id})
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return path, nil
}

package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/hearthhost/hearth/gateway/web/page"
)

// parsePage returns the document of an answer.
func parsePage(t *testing.T, a answer) *html.Node {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Fatalf("%d with Content-Type %q: %s", a.status, got, a.body)
	}
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// forms returns the requests of a page's forms, such as "POST acme.counter/add k:json?".
func forms(doc *html.Node) (all []string) {
	id, form := "", -1
	for n := range doc.Descendants() {
		switch n.DataAtom {
		case atom.Section:
			id = attr(n, "data-object")
		case atom.Form:
			if method := attr(n, "data-method"); method != "" {
				form = len(all)
				all = append(all, method+" "+id+"/"+attr(n, "data-member"))
			}
		case atom.Label:
			if kind := attr(n, "data-kind"); kind != "" {
				text := " " + attr(n, "data-name") + ":" + kind
				if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "data-optional" }) {
					text += "?"
				}
				all[form] += text
			}
		case atom.Option:
			all[form] += "|" + attr(n, "value")
		}
	}
	return all
}

// TestPage checks that the page has a form for each member that its reader may call, and for no other.
func TestPage(t *testing.T) {
	f := serve(t, "", rules+`
forbid "no reset" {
  principals = ["owner"]
  objects    = ["acme.counter"]
  methods    = ["reset", "total="]
}
`)
	a := f.do(t, "GET", "/", "")
	doc := parsePage(t, a)
	got := forms(doc)
	for _, want := range []string{
		"GET acme.counter/total",
		"POST acme.counter/add k:json?",
		"POST acme.cart/key",
		"POST acme.echo/echo ...:rest?",
		`POST acme.typed/paint color:choice|"red"|"blue" count:integer ratio:number? label:text? ` +
			`really:choice|true|false parts:json`,
		"POST acme.typed/sum ...:rest?",
		"POST acme.typed/open **:others?",
		"PUT acme.typed/size value:integer",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no form %q in %q", want, got)
		}
	}
	for _, hidden := range []string{"other.hidden", "acme.counter/reset", "PUT acme.counter", "Pyro."} {
		if slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, hidden) }) ||
			strings.Contains(a.body, "other.hidden") {
			t.Errorf("%s is on the page", hidden)
		}
	}
	for _, text := range []string{"Paints.", "how many", "Returns: what was painted"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not have the text %q", text)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if a := f.do(t, method, "/", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET" {
			t.Errorf("%s: %v", method, a)
		}
	}
	if a := f.do(t, "GET", "/?x=1", ""); a.status != http.StatusBadRequest {
		t.Errorf("with a query: %d", a.status)
	}
}

// TestPageContent checks that a browser runs only the script of the page, for any texts of scripts.
func TestPageContent(t *testing.T) {
	f := serve(t, "", rules)
	a := f.do(t, "GET", "/", "")
	if a.header.Get("Content-Security-Policy") != page.Policy || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" ||
		a.header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		t.Errorf("headers %v", a.header)
	}
	if strings.Contains(page.Policy, "unsafe") || strings.Contains(page.Policy, "*") {
		t.Errorf("policy %s", page.Policy)
	}
	inline := 0
	for n := range parsePage(t, a).Descendants() {
		for _, at := range n.Attr {
			if strings.HasPrefix(at.Key, "on") || at.Key == "style" || at.Key == "src" || at.Key == "action" ||
				at.Key == "href" && at.Val != "data:," && at.Val != "/openapi.json" {
				t.Errorf("<%s> has the attribute %s=%q", n.Data, at.Key, at.Val)
			}
		}
		switch n.DataAtom {
		case atom.Script, atom.Style:
			inline++
			if text := n.FirstChild.Data; !strings.Contains(page.Policy, page.Source(text)) {
				t.Errorf("the policy does not permit <%s>%.100s", n.Data, text)
			}
		case atom.Img, atom.Iframe, atom.Object, atom.Embed, atom.Base:
			t.Errorf("the page has <%s>", n.Data)
		}
	}
	if inline != 2 {
		t.Errorf("%d styles and scripts", inline)
	}
}

// TestPageCallers reads the page as other callers than the owner.
func TestPageCallers(t *testing.T) {
	f := serve(t, "", strings.ReplaceAll(rules, "host_user = true", "uid = 4000000"))
	a := f.do(t, "GET", "/", "", "Accept", "text/html")
	if doc := parsePage(t, a); a.status != 401 || a.header.Get("WWW-Authenticate") == "" || len(forms(doc)) != 0 ||
		strings.Contains(a.body, "acme.") || a.header.Get("Content-Security-Policy") != page.Policy {
		t.Errorf("unidentified: %v", a)
	}
	if a := f.do(t, "GET", "/", ""); a.status != 401 || !strings.HasPrefix(a.problem(t), "unauthenticated no") {
		t.Errorf("unidentified, not a browser: %v", a)
	}
	f = serve(t, "", rules)
	if a := f.do(t, "GET", "/", "", "Authorization", "Bearer x", "Accept", "text/html"); a.status != 401 ||
		!json.Valid([]byte(a.body)) {
		t.Errorf("credentials that prove nothing: %v", a)
	}
	for _, tt := range []struct {
		mode, dest string
		want       int
	}{{"navigate", "document", 200}, {"navigate", "iframe", 403}, {"cors", "empty", 403}, {"no-cors", "image", 403}} {
		a := f.do(t, "GET", "/", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", tt.mode,
			"Sec-Fetch-Dest", tt.dest)
		if a.status != tt.want {
			t.Errorf("%s to %s from another site: %d, want %d", tt.mode, tt.dest, a.status, tt.want)
		}
	}
}

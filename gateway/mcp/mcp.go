// Package mcp serves the tools of the Model Context Protocol to AI agents: each method and attribute that a caller may
// call is a tool. It is stateless: each HTTP request is complete, and its caller is identified and authorized.
// Package gateway/web owns the connection, identifies the caller and passes the request on.
//
// Source: modelcontextprotocol.io/specification, versions 2024-11-05 to 2026-07-28; doc/mcp.md.
package mcp

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/hearthhost/hearth/object"
)

// Bounds.
const (
	MaxBody  = 1 << 20 // bytes of a request; larger arguments are not for an agent
	MaxTools = 64      // tools in a caller's list: models choose badly among more
	MaxName  = 128     // bytes of a tool's name, by the specification
	MaxDoc   = 1 << 10 // bytes of a tool's description
	maxItems = 100     // items of a stream in a result
	maxBytes = 1 << 20 // bytes of a stream in a result
)

// Caller is the host as an identified caller sees it. Its methods authorize each time.
type Caller interface {
	// Objects returns the descriptions of the objects that the caller may see, with only the members that it may call,
	// sorted by id. It may stop after max objects.
	Objects(ctx context.Context, max int) ([]*object.Description, error)
	// Describe returns the description of one object. An object that is hidden from the caller, and one that does not
	// exist, have the same error with CodeNotFound. It records no denial.
	Describe(ctx context.Context, id object.ID) (*object.Description, error)
	// Unknown records a denial: the caller named a tool of an object, and has no such tool.
	Unknown(id object.ID)
	// Call runs a call whose payload is a JSON document of format http/json.
	Call(ctx context.Context, c Call) (Reply, error)
}

// Call is one call of a member.
type Call struct {
	ID      object.ID
	Kind    object.CallKind // Invoke, Get or Set
	Member  object.Method
	Payload []byte
}

// Reply is the result of a call. Its documents are JSON.
type Reply struct {
	Value     []byte // nil for a stream
	Exception bool   // Value is an exception: a JSON object with class and message
	// Next returns the next item of a stream. ok is false at its end. Close ends the stream early. Both are nil without
	// a stream.
	Next  func(ctx context.Context) (item []byte, ok bool, err error)
	Close func()
}

// Server serves requests. It is safe for concurrent use.
type Server struct {
	version string
	log     *slog.Logger
}

// NewServer returns a server. version is that of the host.
func NewServer(version string, log *slog.Logger) *Server { return &Server{version: version, log: log} }

// Serve serves one HTTP request of a caller. The caller of Serve has checked the headers Host and Origin.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, caller Caller) {
	server := mcp.NewServer(&mcp.Implementation{Name: "hearth", Version: s.version}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.CacheScope = "private" },
	})
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			switch method {
			case "tools/list":
				return s.list(ctx, caller)
			case "tools/call":
				params, ok := req.GetParams().(*mcp.CallToolParamsRaw)
				if !ok || params == nil {
					return nil, invalidParams("tools/call has no parameters")
				}
				return s.call(ctx, caller, params)
			}
			return next(ctx, method, req)
		}
	})
	mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless:                    true,
		JSONResponse:                 true,
		MaxRequestBodyBytes:          MaxBody,
		DisableLocalhostProtection:   true, // gateway/web checks the header Host on every listener
		PropagateRequestCancellation: true,
	}).ServeHTTP(w, r)
}

func invalidParams(text string) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: text}
}

// unknownTool is the error for a name that is no tool of the caller: it does not exist, or it is hidden.
func unknownTool(name string) error { return invalidParams("unknown tool " + quote(name)) }

// protocolError returns the JSON-RPC error of a request that failed for a reason other than the call itself.
func protocolError(err error) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: object.SafeText(err)}
}

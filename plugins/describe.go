package plugins

import (
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// describe checks the plugin's description and keeps the objects that the policy lists.
func (pr *process) describe(r *rpc.DescribeReply) error {
	if n := len(r.GetObjects()); n > maxObjects {
		return binary.Errorf(binary.CauseDescribe, "it has %d objects; the limit is %d", n, maxObjects)
	}
	pr.objects = map[object.ID]*object.Description{}
	var unlisted []string
	for _, o := range r.GetObjects() {
		id := pr.p.cfg.ID
		if o.GetName() != "" {
			id += object.ID("." + o.GetName())
		}
		if !slices.Contains(pr.p.cfg.Objects, id) {
			unlisted = append(unlisted, launch.Clip(string(id))) // the policy decides which objects exist
			continue
		}
		if pr.objects[id] != nil {
			return binary.Errorf(binary.CauseDescribe, "it has two objects %s", id)
		}
		d := &object.Description{ID: id, Doc: launch.Clip(o.GetDoc()), Instance: object.InstanceMode(o.GetInstance())}
		switch d.Instance {
		case object.Single, object.Session, object.PerCall:
		default:
			return binary.Errorf(binary.CauseDescribe, "%s has the instance mode %q", id, launch.Clip(o.GetInstance()))
		}
		if len(o.GetMembers()) > maxMembers {
			return binary.Errorf(binary.CauseDescribe, "%s has more than %d members", id, maxMembers)
		}
		var err error
		d.Members, err = members(id, o.GetMembers())
		if err != nil {
			return err
		}
		pr.objects[id] = d
	}
	if n := len(unlisted); n > 0 {
		pr.p.cfg.Log.Warn("plugin has objects that the policy does not list", "objects", n, "first", unlisted[0])
	}
	if len(pr.objects) == 0 {
		return binary.Errorf(binary.CauseDescribe, "it has none of the objects that the policy lists: %v",
			pr.p.cfg.Objects)
	}
	return nil
}

// members checks the members of an object and returns them sorted by name.
func members(id object.ID, described []*rpc.Member) ([]object.Member, error) {
	var all []object.Member
	for _, m := range described {
		name := object.Method(m.GetName())
		duplicate := slices.ContainsFunc(all, func(o object.Member) bool { return o.Name == name })
		if !name.Callable() || duplicate {
			return nil, binary.Errorf(binary.CauseDescribe,
				"%s has the member %q, which is not callable or a duplicate", id, launch.Clip(m.GetName()))
		}
		all = append(all, object.Member{
			Name:   name,
			Doc:    launch.Clip(m.GetDoc()),
			Method: m.GetMethod(),
			Oneway: m.GetOneway(),
			Get:    m.GetGet(),
			Set:    m.GetSet(),
		})
	}
	slices.SortFunc(all, func(a, b object.Member) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all, nil
}


// Package signature reads the signatures of functions from the LuaCATS annotations in their comments, for example
//
//	---Adds to the total.
//	---@param k integer the amount
//	---@param note? string
//	---@return integer total
//	function Counter:add(k, note)
//
// [Parse] reads the comment of one function, [ParseTypes] the classes, enums and aliases of a script. Both return a
// [Warning] for each wrong annotation. Its parameter or field then has the type any, so a wrong annotation never
// rejects a call. [Types.Schema] returns JSON Schema 2020-12.
//
// The supported types are nil, boolean, integer, number, string, table, any, T?, T[], table<K, V>, {name: T, name?: T},
// A|B, literal texts, numbers and booleans, and names of classes, enums and aliases. A function type is any: a function
// cannot be an argument of a remote call.
package signature

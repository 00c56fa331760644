// Relative to the page, so that a proxy may serve it below a path of its own. No validator: it is another host's.
/** @type {any} */ (globalThis).SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
});

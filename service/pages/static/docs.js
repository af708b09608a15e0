// The vendored Swagger UI on this server's own document. The page's cookie signs its requests in.

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});

# The apps of the measurements for OpenTofu, or Terraform, with the provider restapi.
terraform {
  required_providers {
    restapi = {
      source  = "Mastercard/restapi"
      version = "~> 2.0"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "n" {
  type = number
}

provider "restapi" {
  uri                  = var.endpoint
  write_returns_object = true
  headers              = { "X-Auth-Token" = "a-long-secret-of-the-floor" }
}

resource "restapi_object" "app" {
  count = var.n
  path  = "/v2/p1/instances/i1/apps"
  data = jsonencode({
    name   = format("app-%06d", count.index)
    remark = "Orders of team ${count.index % 97}, see the page of the service."
  })
}
